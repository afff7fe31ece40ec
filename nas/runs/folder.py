"""Folder of a run: its store of trials, checkpoints, weights, report and TensorBoard logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..analysis.final_result import FinalResult
from ..architecture import Architecture
from ..config import reading as configs
from ..config.schema import Config
from ..errors import OTHER_VERSION, ConfigError, RunError, StoreError
from ..failures import attempt, reason
from ..locations import runs_folder
from ..store.sqlite_store import Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that file systems of Windows keep for devices, with any suffix."""
PROTOCOL = "protocol"
"""Key of a store's meta with the protocol of the search's scores, None where the evaluator declares none."""
INVENTORY = "inventory"
"""Key of a store's meta with the digests of the user's data by class (`Inventoried`), where there are any."""
FINAL = "final"
"""Key of a store's record of the final result."""
RUNNING = "running"
"""Key of a store's record of the trials that are being evaluated: the seconds since the epoch of each start."""
RESULTS = "results.sqlite"
"""File of a comparison's results (`nas.compare`) in its folder."""
STORE = "trials.sqlite"
"""File of a run's store in its folder."""


@dataclass(frozen=True)
class RunFolder:
    """Name and folder of a run.

    Attributes:
        name: The run's name.
        folder: Its folder, which may not exist yet.
        stem: What an automatic name has before its number; empty for a name that a person chose.
    """

    name: str
    folder: Path
    stem: str = field(default="", compare=False)

    @property
    def store_path(self) -> Path:
        return self.folder / STORE

    @property
    def checkpoints(self) -> Path:
        """Folder of the candidates of a search by rungs, until they are promoted."""
        return self.folder / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of the TensorBoard logs; those of the random-search control are in its subfolder 'control'."""
        return self.folder / "tensorboard"

    @property
    def outputs(self) -> Path:
        """Folder of what candidates printed; there is none where nothing was printed."""
        return self.folder / "logs"

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"

    @property
    def control(self) -> RunFolder:
        """The run's random-search control (`nas.runs.random_control`), which has a folder of its own in this one."""
        return RunFolder(f"{self.name}/control", self.folder / "control")

    def weights(self, architecture: Architecture, seed: int) -> Path:
        """File of the meta-trained weights of a final measurement."""
        return self.folder / "weights" / f"{architecture.key}-seed{seed}.safetensors"


def run_of(name: str) -> RunFolder:
    """The run of a name, whether it exists or not.

    Raises:
        RunError: The name could lead out of the folder of runs, be taken for an option, or not be kept by every file
            system; or the folder of runs cannot be used.
    """
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 70 else name[:67] + "…"
        raise RunError(
            f"run name {shown!r} cannot be used; take 1 to 64 of the characters A-Z a-z 0-9 . _ -, beginning with a "
            "letter or digit"
        )
    if RESERVED.fullmatch(name) or name.endswith("."):
        raise RunError(
            f"run name {name!r} cannot be used: some file systems keep it for a device, or drop a full stop at its "
            "end; take another"
        )
    folder = runs_folder() / name
    try:
        linked = folder.is_symlink()
    except OSError as error:
        raise RunError(f"{folder} cannot be used: {error.strerror}; set NAS_RUNS to a folder of yours") from None
    if linked:
        raise RunError(f"{folder} is a link; a run is a folder of its own")
    return RunFolder(name, folder)


def new_run(name: str | None, config_name: str) -> RunFolder:
    """The run to be made, of which nothing is written yet.

    Args:
        name: Its name; None for the config's name with the first free number.
        config_name: Path or name of the config.

    Raises:
        RunError: The name cannot be used, or is taken.
    """
    if name is None:
        return _first_free(_stem(config_name))
    run = run_of(name)
    if run.store_path.exists():
        raise RunError(f"run {name!r} exists already; continue it with `nas resume {name}`, or give another --name")
    if (run.folder / RESULTS).exists():
        raise RunError(f"{run.folder} holds a comparison of `nas compare`; give another --name")
    if run.folder.exists() and not holds_nothing(run.folder, STORE):
        raise RunError(f"{run.folder} exists already, but holds no run; remove it, or give another --name")
    return run


def holds_nothing(folder: Path, store: str) -> bool:
    """Whether a folder is empty, or holds only what is left where the creation of a store was killed.

    Args:
        folder: The folder.
        store: Name of the store's file.
    """
    leftovers = {f"{store}{suffix}" for suffix in (".lock", ".new", ".new-journal")}
    try:
        return all(path.name in leftovers and path.is_file() and not path.is_symlink() for path in folder.iterdir())
    except OSError:
        return False


def _stem(config_name: str) -> str:
    """What the automatic names of a config's runs begin with: its name, with other characters as underscores."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(config_name).stem)[:50].lstrip("-._")
    return f"run-{stem}" if not stem or RESERVED.fullmatch(f"{stem}-1") else stem


def _first_free(stem: str) -> RunFolder:
    """The run `stem`-1, `stem`-2, … with the first number of which there is no folder."""
    number = 1
    while (run := run_of(f"{stem}-{number}")).folder.exists():
        number += 1
    return replace(run, stem=stem)


def create(
    run: RunFolder,
    config: Config,
    protocol: Mapping[str, Any] | None = None,
    inventory: Mapping[str, str] | None = None,
) -> Store:
    """Makes the run's folder and store, or nothing. A folder whose creation was killed is used.

    Args:
        run: The run. Where another process has just taken its automatic name, it gets the next free number;
            `run_of_store` gives the run that it became.
        config: Its config.
        protocol: Protocol of the search's scores, with which every continuation is compared (`check_protocol`).
        inventory: Digests of the user's data, from which a continuation tells what has changed; None for none.

    Returns:
        The run's store, open.

    Raises:
        RunError: A name that a person chose is taken, or the folder cannot be made.
    """
    try:
        run.folder.mkdir(parents=True)
    except FileExistsError:
        if run.stem:
            return create(_first_free(run.stem), config, protocol, inventory)
        if not holds_nothing(run.folder, STORE):
            raise RunError(f"run {run.name!r} exists already; give another --name") from None
    except OSError as error:
        raise RunError(f"{run.folder} cannot be made: {error.strerror}; set NAS_RUNS to a folder of yours") from None
    try:
        meta = {"config": config.to_json(), "files": config.files, PROTOCOL: protocol}
        return Store.create(run.store_path, meta if inventory is None else {**meta, INVENTORY: dict(inventory)})
    except StoreError:
        with suppress(OSError):  # Another process may be making the run in this folder.
            run.folder.rmdir()
        raise


def run_of_store(store: Store) -> RunFolder:
    """The run whose trials a store holds."""
    folder = store.path.parent
    return RunFolder(folder.name, folder)


def comparison_folder(name: str | None, folder: Path | None, config_name: str) -> Path:
    """Folder of a comparison, of which nothing is written yet.

    Args:
        name: The comparison's name in the folder of runs; None for `folder`, or without one for the config's name.
        folder: Any other folder.
        config_name: Path or name of the config.

    Raises:
        RunError: The name cannot be used, or its folder holds something else than a comparison.
        ConfigError: Both name and folder are given.
    """
    if name is None:
        return folder or runs_folder() / f"compare-{Path(config_name).stem}"
    if folder is not None:
        raise ConfigError(f"--name {name} and --out {folder} both say where the comparison is kept; give one of them")
    run = run_of(name)
    if run.store_path.exists():
        raise RunError(f"{name!r} is the name of a run; give the comparison another --name")
    if run.folder.is_dir() and not holds_nothing(run.folder, RESULTS) and not (run.folder / RESULTS).exists():
        raise RunError(f"{run.folder} exists already, but holds no comparison; remove it, or give another --name")
    return run.folder


def training_folder(name: str) -> Path:
    """Folder of the training of a learned optimizer, which may exist already.

    Raises:
        RunError: The name cannot be used, or its folder holds a run or a comparison.
    """
    run = run_of(re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip("-._")[:64] or name)
    if run.store_path.exists() or (run.folder / RESULTS).exists():
        raise RunError(f"{run.folder} holds a run or a comparison; give the training another --name")
    return run.folder


def existing_run(name: str) -> RunFolder:
    """The run of a name.

    Raises:
        RunError: There is no such run; the message lists those that there are.
    """
    run = run_of(name)
    if not run.store_path.exists():
        known = sorted(path.parent.name for path in runs_folder().glob("*/trials.sqlite"))
        others = f"there are: {', '.join(known[-10:])}" if known else "there are none yet"
        raise RunError(f"there is no run {name!r} in {runs_folder()}; {others}")
    return run


def config_of(store: Store) -> Config:
    """The config that a run was started with.

    Raises:
        StoreError: The store has none that this version can read.
    """
    try:
        return configs.from_json(store.meta.get("config"))
    except ConfigError as error:
        raise StoreError(
            f"{store.path} holds no config of this version of adaptnas: {error}; {OTHER_VERSION}"
        ) from error


def final_of(store: Store) -> FinalResult | None:
    """The final result of a run; None where it has none yet.

    Raises:
        StoreError: The store has one that this version cannot read.
    """
    data = store.get(FINAL)
    if data is None:
        return None
    read = attempt(FinalResult.from_json, data)  # A record of another version may have any shape.
    if read.error is not None:
        raise StoreError(
            f"{store.path} holds a final result that this version of adaptnas cannot read ({reason(read.error)}); "
            f"{OTHER_VERSION}"
        )
    return read.value
