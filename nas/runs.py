"""Where runs live: one folder a run, with its trials, the finalists' weights, the report and the winner."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import config as configs
from . import own
from .architecture import Architecture, Trial
from .config import Config, Parts
from .config_paths import data_files
from .errors import ConfigError, NasError, ProtocolError, RunError, SearchError, StoreError
from .fidelity import steps_spent
from .front import front_of, objectives_of
from .protocol_check import DATA, MEASURED, SPACE_TABLE, differences, differences_text, mixed, mixed_text, normal
from .repeats import evaluated
from .store import Store

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


def check_files(store: Store) -> None:
    """Raises ConfigError where a file of a person's own that the run was started with is gone or has changed, or where
    one of them now imports another file."""
    files = store.meta.get("files", {})
    own.check_unchanged(files)
    if PROTOCOL in store.meta:  # else the run is of a version that kept only the files that the config names
        own.check_unchanged(files, config_of(store).files)


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
            "mixed": mixed(trials, store.items(MEASURED)),
        }


def _control(run: Run) -> dict[str, Any] | None:
    """The trials of a run's random control, as JSON values; None where it has none."""
    if not run.control.store_path.exists():
        return None
    with Store.open(run.control.store_path, readonly=True) as store:
        trials = store.trials()
        return {"trials": [trial.to_json() for trial in trials], "mixed": mixed(trials, store.items(MEASURED))}


def state(store: Store, run: Run) -> str:
    """'running', 'done', 'interrupted' or 'failed'. A run that says running but that no process has was interrupted."""
    from .durable import in_use

    said = str((store.get("state") or {}).get("state", "running"))
    return "interrupted" if said == "running" and not in_use(run.store_path) else said
