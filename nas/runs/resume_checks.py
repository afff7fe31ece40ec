"""Checks that a run that is resumed has the files, data and protocol that it was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.mixed_protocols import mixed_scores
from ..analysis.protocol_check import DATA, MEASURED, MOST_NAMED, SPACE_TABLE, differences, differences_text, normal
from ..config import parts
from ..config.parts import Parts
from ..config.paths import data_files
from ..config.schema import Config, name_and_options
from ..errors import ConfigError, ProtocolError
from ..registry import user_files
from ..store.sqlite_store import Store
from .folder import INVENTORY, PROTOCOL, RunFolder, config_of


def check_files(store: Store, space: str | None = None) -> None:
    """Checks that the user's files are those that a run was started with.

    Args:
        store: The run's store.
        space: The present place of the user's own space, FILE.py, where the file was moved; None where it was not.

    Raises:
        ConfigError: A file is gone or has changed, or one of them now imports another file.
    """
    files = store.meta.get("files", {})
    if space is not None:
        folders = _folders(config_of(store), space)
        files = {_moved(path, *folders): text for path, text in files.items()}
    user_files.check_unchanged(files)
    if PROTOCOL in store.meta:  # Earlier versions kept only the files that the config names.
        user_files.check_unchanged(files, config_with(store, space).files)


def config_with(store: Store, space: str | None) -> Config:
    """The config of a run, with the present place of the user's own space.

    Args:
        store: The run's store.
        space: As for `check_files`.

    Raises:
        ConfigError: The run has no space of a user's file, or `space` is not that file under its name.
    """
    config = config_of(store)
    if space is None:
        return config
    before, now = _folders(config, space)
    changed: dict[str, Any] = {}
    for key, table in (("space", config.space), ("controller", config.controller)):
        changed[key] = table.model_copy(update={"name": _moved(table.name, before, now)})
    baseline = config.final.baseline
    name, _ = name_and_options(baseline)
    place = _moved(name, before, now)
    moved = place if isinstance(baseline, str) else baseline.model_copy(update={"name": place})
    changed["final"] = config.final.model_copy(update={"baseline": moved})
    return config.model_copy(update=changed)


def _folders(config: Config, space: str) -> tuple[Path, Path]:
    """The folder of the user's own space when the run was started, and its present one."""
    name = config.space.name
    if not user_files.is_user_class_name(name):
        raise ConfigError(f"--space {space}: this run's space is {name!r}, which is no file of yours; leave it out")
    before = Path(name.rpartition(":")[0])
    now = Path(space.rpartition(":")[0] if user_files.is_user_class_name(space) else space).absolute()
    now = now / before.name if now.is_dir() else now
    if now.name != before.name or not now.is_file():
        raise ConfigError(f"--space {space}: there is no file {before.name}; give the path that {before} has now")
    return before.parent, now.parent


def _moved(text: str, before: Path, now: Path) -> str:
    """A path, or a name FILE.py:NAME, with its present folder; unchanged where it is not of the moved folder."""
    path = Path(text)
    return str(now / path.relative_to(before)) if path.is_absolute() and path.is_relative_to(before) else text


def check_scores(run: RunFolder) -> None:
    """Checks that a run and its random-search control hold no scores of several protocols, as earlier versions left.

    Raises:
        ProtocolError: One of them does.
    """
    for path in (run.store_path, run.control.store_path):
        if path.exists():
            with Store.open(path, readonly=True) as store:
                mixed = mixed_scores(store.trials(), store.items(MEASURED))
            if mixed:
                raise ProtocolError(f"{path}: {mixed[0].text()}; start a new run")


def check_protocol(store: Store, config: Config, now: Mapping[str, Any] | None) -> None:
    """Checks that the scores of a run that is continued will have the protocol of its earlier scores.

    Args:
        store: The run's store. Without a protocol, as earlier versions left it, its first score's is used.
        config: The run's config.
        now: The protocol that scores will have; None where the evaluator declares none.

    Raises:
        ProtocolError: The protocols differ.
    """
    before = store.meta.get(PROTOCOL)
    if PROTOCOL not in store.meta:
        before = next((t.score.protocol for t in store.trials() if t.score and t.budget == config.budgets[0]), None)
        now = now and {key: value for key, value in now.items() if key != SPACE_TABLE}
    keys = {key for key, _, _ in differences(normal(before or {}), normal(now or {}))}
    if not before or not now or not keys:
        return
    files = " or ".join(data_files(config)) if keys & DATA else ""
    changed = f"{files} has changed" if files else "its tasks, or adaptnas itself, have changed"
    raise ProtocolError(
        f"{changed} since this run was started ({differences_text(before, now)}); scores of two protocols cannot be "
        "ranked together: restore what it was, or start a new run"
    )


def check_inventory(store: Store, config: Config, now: Mapping[str, str] | None) -> None:
    """Checks that a user's data are those that a run was started with.

    Args:
        store: The run's store. Without an inventory, as earlier versions left it, nothing is checked.
        config: The run's config.
        now: Digests of the data by class, as they are now; None for tasks without an inventory.

    Raises:
        ProtocolError: Classes were added, removed or changed; the message names the first of them.
    """
    before = store.meta.get(INVENTORY)
    if before is None or now is None or before == now:
        return
    kinds = {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name]),
    }
    text = "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in kinds.items() if names)
    raise ProtocolError(
        f"{' or '.join(data_files(config))} has changed since this run was started (classes {text}); scores on "
        "different data cannot be ranked together: restore what it was, or start a new run"
    )


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


def parts_of(store: Store, space: str | None = None) -> Parts:
    """The components that a run's config names, with which its results are read. Arguments and errors are those of
    `check_files`."""
    check_files(store, space)
    return parts.build(config_with(store, space))
