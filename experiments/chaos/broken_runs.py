"""Whole runs to be broken and continued: search, control, finals, an extension, report and export."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from nas.config.parts import build
from nas.config.reading import from_json
from nas.config.schema import Config
from nas.errors import NasError
from nas.executors.inline_executor import InlineExecutor
from nas.runs import launch, summary
from nas.runs.exporting import export_network
from nas.runs.extending import Extension
from nas.runs.folder import RunFolder, config_of, new_run, run_of
from nas.runs.progress import Silence
from nas.store.sqlite_store import Store
from nas.trial import Trial

NAME = "broken"
MEASURED_FILES = ("card.md", "SHA256SUMS")
"""Files of an export that hold a measured time, so that their content differs between equal runs."""
EXTENDED = 2
"""Candidates that the extension adds."""


def table_config(folder: Path, trials: int = 5) -> Config:
    """The config of a search on a table, with a random-search control. The table is written to the folder.

    Args:
        folder: An existing folder.
        trials: Number of candidates.
    """
    rows = [f"{a},{b},{(7 * a + 3 * b) % 11}" for a in range(8) for b in range(8)]
    path = folder / "table.csv"
    path.write_text("\n".join(["a,b,val", *rows]) + "\n", encoding="utf-8")
    return from_json(
        {
            "space": {"name": f"table:{path}", "choices": ["a", "b"]},
            "controller": {"name": "regularized-evolution", "population": 3, "tournament": 2},
            "evaluator": {"name": "tabular", "path": str(path)},
            "search": {"trials": trials, "workers": 1, "control": "random"},
        }
    )


def trained_config(_folder: Path) -> Config:
    """The config of a search of two trained candidates, with a random-search control and finals."""
    return from_json(
        {
            "space": {"name": "mlp", "widths": [4, 8], "max_depth": 2},
            "controller": {"name": "regularized-evolution", "population": 3, "tournament": 2},
            "tasks": {"name": "sinusoid", "shots": 4, "queries": 4},
            "evaluator": {
                "learner": {"name": "maml", "inner_lr": 0.01, "steps": 1},
                "norm": "none",
                "budget": 2,
                "tasks_per_step": 2,
                "validation_tasks": 4,
            },
            "search": {"trials": 2, "workers": 1, "device": "cpu", "control": "random"},
            "final": {"top": 1, "seeds": 2, "budget": 2, "validation_tasks": 4, "tasks": 4, "baseline": "mlp40"},
        }
    )


@dataclass(frozen=True)
class Content:
    """What must not depend on how often a run was broken.

    Attributes:
        trials: The trials of the search and of its control, without times, by run and number.
        told: The numbers of the trials that the controllers were told of, in their order.
        records: The final measurements without times, the final result and the state.
        files: The files of the export, and which others there are.
    """

    trials: Mapping[tuple[str, int], Any]
    told: Mapping[str, list[int]]
    records: Mapping[str, Any]
    files: Mapping[str, bytes]


class Acknowledging(Silence):
    """Sends a line for each trial that has ended: the name of its run and its number."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send, self._name = send, ""

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None:
        self._name = run.name

    def trial(self, trial: Trial, best: Trial) -> None:
        self._send(f"{self._name} {trial.number}\n".encode())


@contextmanager
def here(folder: Path) -> Iterator[None]:
    """Runs are kept in a folder, and candidates are evaluated in this process."""
    with mock.patch.dict(os.environ, NAS_RUNS=str(folder)), mock.patch.object(launch, "engine_of", _inline):
        yield


def _inline(*_: object) -> InlineExecutor:
    return InlineExecutor()


def carry_on(config: Config, folder: Path, send: Callable[[bytes], None]) -> None:
    """Begins a run, or continues it, to the end of its extension and its export.

    Args:
        config: Its config.
        folder: Folder of runs, of this run only.
        send: Is given a line for each trial that has ended.
    """
    with here(folder):
        run, progress = run_of(NAME), Acknowledging(send)
        if run.store_path.exists():
            launch.resume(run, progress)
        else:
            launch.start(config, new_run(NAME, NAME), progress)
        with Store.open(run.store_path, readonly=True) as store:
            trials = config_of(store).search.trials
        if trials == config.search.trials:
            launch.resume(run, progress, extension=Extension(trials=trials + EXTENDED))
        out = folder / "export"
        if config.evaluator.name == "meta" and not (out / "card.md").exists():
            with Store.open(run.store_path, readonly=True) as store:
                export_network(run, store, build(config_of(store)), out)


def content(folder: Path) -> Content:
    """What a run and its export hold."""
    trials: dict[tuple[str, int], Any] = {}
    told: dict[str, list[int]] = {}
    records: dict[str, Any] = {}
    with here(folder):
        run = run_of(NAME)
        for each in (run, run.control):
            if not each.store_path.exists():
                continue
            with Store.open(each.store_path, readonly=True) as store:
                trials |= {(each.name, trial.number): _shown(trial) for trial in store.trials()}
                told[each.name] = [trial.number for trial in store.told()]
                for key, record in store.items("measured/").items():
                    records[f"{each.name} {key}"] = {**record["score"], "metrics": None} if record["score"] else record
                records[f"{each.name} final"] = store.get("final")
                if each is run:
                    records["state"] = summary.state(store, run)
    exported = [path for path in sorted((folder / "export").glob("*")) if path.is_file()]
    files = {path.name: b"" if path.name in MEASURED_FILES else path.read_bytes() for path in exported}
    left = leftovers(folder)
    files |= {f"weights/{path.name}": b"" for path in run.folder.glob("weights/*") if path.name not in left}
    return Content(trials, told, records, files | {"report": b""} if run.report.exists() else files)


def leftovers(folder: Path) -> list[str]:
    """Names of the files of weights that a killed process did not finish: its own, and those of safetensors."""
    weights = folder / NAME / "weights"
    return sorted(path.name for pattern in ("*.part", ".tmp*") for path in weights.glob(pattern))


def lost(folder: Path, acknowledged: list[str], whole: Content) -> list[str]:
    """What is wrong with a run after its process was killed.

    Args:
        folder: Folder of runs.
        acknowledged: A line for each trial that was acknowledged.
        whole: The content of the unbroken run.
    """
    try:
        found = content(folder)
    except NasError as error:
        return [f"it cannot be read: {error}"]
    finished = {key: trial for key, trial in found.trials.items() if trial[3] != "pending"}
    keys = [(name, int(number)) for name, number in (line.split() for line in acknowledged)]
    faults = [f"trial {key} is lost" for key in keys if key not in finished]
    faults += [f"trial {key} is another one" for key, trial in finished.items() if trial != whole.trials[key]]
    if len(set(keys)) < len(keys) or any(told != whole.told[name][: len(told)] for name, told in found.told.items()):
        faults.append("a trial is doubled, or told in another order")
    return faults


def _shown(trial: Trial) -> tuple[Any, ...]:
    score = trial.score and (trial.score.value, trial.score.stderr, trial.score.curve, trial.score.per_task)
    return trial.architecture.key, trial.budget, trial.seed, trial.state, trial.error, trial.duplicate_of, score
