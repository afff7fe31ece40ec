"""Checks that a run that is resumed has the files, data and protocol that it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..analysis.protocol_check import (
    DATA,
    MEASURED,
    SPACE_TABLE,
    differences,
    differences_text,
    mixed,
    mixed_text,
    normal,
)
from ..config import parts
from ..config.parts import Parts
from ..config.paths import data_files
from ..config.reading import Config
from ..errors import ProtocolError
from ..registry import user_files
from ..store.sqlite_store import Store
from .folder import PROTOCOL, Run, config_of


def check_files(store: Store) -> None:
    """Raises ConfigError where a file of a person's own that the run was started with is gone or has changed, or where
    one of them now imports another file."""
    files = store.meta.get("files", {})
    user_files.check_unchanged(files)
    if PROTOCOL in store.meta:  # else the run is of a version that kept only the files that the config names
        user_files.check_unchanged(files, config_of(store).files)


def check_scores(run: Run) -> None:
    """Raises ProtocolError where a run, or its random control, holds scores of several protocols already, as one of an
    earlier version may."""
    for path in (run.store_path, run.control.store_path):
        if path.exists():
            with Store.open(path, readonly=True) as store:
                found = mixed(store.trials(), store.items(MEASURED))
            if found:
                raise ProtocolError(f"{path}: {mixed_text(found[:1])}; start a new run")


def check_protocol(store: Store, config: Config, now: Mapping[str, Any] | None) -> None:
    """Raises ProtocolError where the scores of a run that is continued would have another protocol than before.

    A run of a version that kept no protocol is compared with its first score."""
    before = store.meta.get(PROTOCOL)
    if PROTOCOL not in store.meta:
        before = next((t.score.protocol for t in store.trials() if t.score and t.budget == config.budgets[0]), None)
        now = now and {key: value for key, value in now.items() if key != SPACE_TABLE}
    keys = {key for key, _, _ in differences(normal(before or {}), normal(now or {}))}
    if not before or not now or not keys:
        return
    files = " or ".join(data_files(config)) if keys & DATA else ""
    what = f"{files} has changed" if files else "its tasks, or adaptnas itself, have changed"
    text = differences_text(before, now)
    raise ProtocolError(
        f"{what} since this run was started ({text}); scores of two protocols cannot be ranked together: restore what "
        "it was, or start a new run"
    )


def parts_of(store: Store) -> Parts:
    """What a run's config stands for, to look at its results. Raises ConfigError as `check_files` does."""
    check_files(store)
    return parts.build(config_of(store))
