"""Where runs live: one folder a run, with its trials, the finalists' weights, the report and the winner."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..architecture import Architecture
from ..config import reading as configs
from ..config.reading import Config
from ..errors import ConfigError, NasError, RunError, StoreError
from ..store.sqlite_store import Store

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
PROTOCOL = "protocol"
"""The key of a store's meta that holds the protocol of the search's scores, None where the evaluator tells none."""
RESULTS = "results.sqlite"
"""The file of a comparison's results (`nas.compare`) in its folder."""


@dataclass(frozen=True)
class Run:
    """A run's name and folder. `numbered` is what a name that was chosen automatically has before its number; empty for
    a name that a person gave."""

    name: str
    folder: Path
    numbered: str = field(default="", compare=False)

    @property
    def store_path(self) -> Path:
        return self.folder / "trials.sqlite"

    @property
    def checkpoints(self) -> Path:
        """Where candidates of a search by rungs are left until they are promoted."""
        return self.folder / "checkpoints"

    @property
    def control(self) -> Run:
        """The run's random control (`nas.runs.random_control`) as a run, which has a folder of its own in this one."""
        return Run(f"{self.name}/control", self.folder / "control")

    def weights(self, architecture: Architecture, seed: int) -> Path:
        """Where meta-trained weights of a final measurement are kept."""
        return self.folder / "weights" / f"{architecture.key}-seed{seed}.safetensors"


def runs_folder() -> Path:
    """`runs` in the current folder, or what the environment variable NAS_RUNS says."""
    return Path(os.environ.get("NAS_RUNS") or "runs")


def run_of(name: str) -> Run:
    """The run of a name, whether it exists or not. Raises RunError for a name that could lead out of the runs."""
    if not NAME.fullmatch(name) or set(name) == {"."}:
        shown = name if len(name) <= 70 else name[:67] + "…"
        raise RunError(f"run name {shown!r} cannot be used; take 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    folder = runs_folder() / name
    try:
        linked = folder.is_symlink()
    except OSError as error:
        raise RunError(f"{folder} cannot be used: {error.strerror}; set NAS_RUNS to a folder of yours") from None
    if linked:
        raise RunError(f"{folder} is a link; a run is a folder of its own")
    return Run(name, folder)


def new_run(name: str | None, config_name: str) -> Run:
    """The run to be made: of the given name, or of the config's with the first free number.

    Nothing is written. Raises RunError where the name is taken.
    """
    if name is None:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(config_name).stem)[:50].lstrip("-")
        return _first_free(stem)
    run = run_of(name)
    if run.store_path.exists():
        raise RunError(f"run {name!r} exists already; continue it with `nas resume {name}`, or give another --name")
    if (run.folder / RESULTS).exists():
        raise RunError(f"{run.folder} holds a comparison of `nas compare`; give another --name")
    if run.folder.exists():
        raise RunError(f"{run.folder} exists already, but holds no run; remove it, or give another --name")
    return run


def _first_free(stem: str) -> Run:
    """The run of the first number after `stem` of which there is no folder."""
    number = 1
    while (run := run_of(f"{stem}-{number}")).folder.exists():
        number += 1
    return replace(run, numbered=stem)


def create(run: Run, config: Config, protocol: Mapping[str, Any] | None = None) -> Store:
    """Makes the run's folder and store, or nothing. `protocol` is that of the search's scores, which every continuation
    is compared with (`check_protocol`).

    Where another process has just taken an automatic name, the run gets the next free number: `run_of_store` says which
    run it became. Raises RunError where a name that a person gave is taken.
    """
    try:
        run.folder.mkdir(parents=True)
    except FileExistsError:
        if run.numbered:
            return create(_first_free(run.numbered), config, protocol)
        raise RunError(f"run {run.name!r} exists already; give another --name") from None
    except OSError as error:
        raise RunError(f"{run.folder} cannot be made: {error.strerror}; set NAS_RUNS to a folder of yours") from None
    try:
        files = config.files
        return Store.create(run.store_path, {"config": config.to_json(), "files": files, PROTOCOL: protocol})
    except NasError:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def run_of_store(store: Store) -> Run:
    """The run whose trials a store holds."""
    folder = store.path.parent
    return Run(folder.name, folder)


def comparison_folder(name: str | None, folder: Path | None, config_name: str) -> Path:
    """The folder of a comparison: that of a name in the runs, or any other folder, or that of the config's name.

    Nothing is written. Raises RunError for a name that cannot be used or is a run's, ConfigError for name and folder.
    """
    if name is None:
        return folder or runs_folder() / f"compare-{Path(config_name).stem}"
    if folder is not None:
        raise ConfigError(f"--name {name} and --out {folder} both say where the comparison is kept; give one of them")
    run = run_of(name)
    if run.store_path.exists():
        raise RunError(f"{name!r} is the name of a run; give the comparison another --name")
    return run.folder


def existing_run(name: str) -> Run:
    """The run of a name. Raises RunError, with the runs that there are, where there is none."""
    run = run_of(name)
    if not run.store_path.exists():
        known = sorted(path.parent.name for path in runs_folder().glob("*/trials.sqlite"))
        there = f"there are: {', '.join(known[-10:])}" if known else "there are none yet"
        raise RunError(f"there is no run {name!r} in {runs_folder()}; {there}")
    return run


def config_of(store: Store) -> Config:
    """The config that a run was started with. Raises StoreError where the store has none that this version knows."""
    try:
        return configs.from_json(store.meta.get("config"))
    except ConfigError as error:
        raise StoreError(f"{store.path} holds no config of this version of adaptnas: {error}") from error
