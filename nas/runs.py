"""Where runs live: one folder a run, with its trials, the finalists' weights, the report and the winner."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import config as configs
from . import own
from .architecture import Architecture, Trial
from .config import Config, Parts
from .errors import ConfigError, NasError, RunError, SearchError, StoreError
from .fidelity import steps_spent
from .front import front_of, objectives_of
from .repeats import evaluated
from .store import Store

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
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
        """The run's random control (`nas.control`) as a run, which has a folder of its own in this one."""
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


def create(run: Run, config: Config) -> Store:
    """Makes the run's folder and store, or nothing.

    Where another process has just taken an automatic name, the run gets the next free number: `run_of_store` says which
    run it became. Raises RunError where a name that a person gave is taken.
    """
    try:
        run.folder.mkdir(parents=True)
    except FileExistsError:
        if run.numbered:
            return create(_first_free(run.numbered), config)
        raise RunError(f"run {run.name!r} exists already; give another --name") from None
    except OSError as error:
        raise RunError(f"{run.folder} cannot be made: {error.strerror}; set NAS_RUNS to a folder of yours") from None
    try:
        return Store.create(run.store_path, {"config": config.to_json(), "files": config.files})
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


def check_files(store: Store) -> None:
    """Raises ConfigError where a file of a person's own that the run was started with is gone or has changed."""
    own.check_unchanged(store.meta.get("files", {}))


def parts_of(store: Store) -> Parts:
    """What a run's config stands for, to look at its results. Raises ConfigError as `check_files` does."""
    check_files(store)
    return configs.build(config_of(store))


def best(trials: Sequence[Trial], count: int = 1) -> list[Trial]:
    """The done trials with the highest scores, one a network; earlier ones first among equals.

    Scores of different budgets are not compared: what was promoted to a higher one is better than what was not.
    """
    ranked = sorted((t for t in evaluated(trials) if t.state == "done"), key=lambda t: (-t.budget, -t.value, t.number))
    leaders: dict[str, Trial] = {}
    for trial in ranked:
        leaders.setdefault(trial.architecture.key, trial)
    return list(leaders.values())[:count]


def leaders(trials: Sequence[Trial], count: int) -> list[Trial]:
    """As `best`. Raises SearchError where no candidate was scored."""
    found = best(trials, count)
    if not found:
        why = "none could be begun; has search.seconds enough for one?"
        if trials:
            why = f"the last (#{trials[-1].number}) failed with {trials[-1].error}"
        raise SearchError(f"no candidate was scored: {why}")
    return found


def median(trials: Sequence[Trial]) -> Trial:
    """The done trial with the median score of the lowest budget, which all candidates had, each network once; of an
    even number, the lower one in the middle."""
    done = [trial for trial in evaluated(trials) if trial.state == "done"]
    lowest = min(trial.budget for trial in done)
    ranked = sorted((t for t in done if t.budget == lowest), key=lambda t: (t.value, t.number))
    return ranked[(len(ranked) - 1) // 2]


def summary(run: Run) -> dict[str, Any]:
    """All there is to know of a run, as JSON values."""
    with Store.open(run.store_path, readonly=True) as store:
        trials, config = store.trials(), config_of(store)
        leader = best(trials)
        found = front_of(trials, objectives_of(config.to_json()))
        return {
            "name": run.name,
            "state": state(store, run),
            "config": config.to_json(),
            "trials": [trial.to_json() for trial in trials],
            "best": leader[0].number if leader else None,
            "repeats": len(trials) - len(evaluated(trials)),
            "outer_steps": steps_spent(trials),
            "front": None if found is None else found.to_json(),
            "final": store.get("final"),
            "control": _control(run),
        }


def _control(run: Run) -> dict[str, Any] | None:
    """The trials of a run's random control, as JSON values; None where it has none."""
    if not run.control.store_path.exists():
        return None
    with Store.open(run.control.store_path, readonly=True) as store:
        return {"trials": [trial.to_json() for trial in store.trials()]}


def state(store: Store, run: Run) -> str:
    """'running', 'done', 'interrupted' or 'failed'. A run that says running but that no process has was interrupted."""
    from .durable import in_use

    said = str((store.get("state") or {}).get("state", "running"))
    return "interrupted" if said == "running" and not in_use(run.store_path) else said
