"""Network and training searched together, against each alone and against random recipes, at equal seconds.

    python -m nas.experiments.reproduce.recipe_search --omniglot FILE [--workers N] [--out FILE] [--json]

Each arm is a search of its own for each seed, with finals of its own. All have the same seconds of evaluations, the
same seconds of meta-training for each candidate, and the same test tasks, which only winners are measured on. The arms
are compared by the test accuracy of their winners, paired by seed. The baseline of all is a fixed network with the
default training.

About an hour on two free processor cores. The work folder keeps the runs, so that an interrupted study goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from nas import config as configs
from nas.config import Config, Table
from nas.errors import ConfigError, RunError
from nas.runs import launch
from nas.runs.folder import run_of
from nas.runs.progress import Silence
from nas.runs.run import Run

from ..command_line import Machine, add_output_options, explained, machine, machine_line, print_table, resumable, whole
from .paired_errors import Mean, PairedError, mean_of, p_text, paired_errors
from .settings import read_settings
from .workers import finished, worker_processes

COMMAND = "python -m nas.experiments.reproduce.recipe_search"


class ArmTable(Table):
    """What is searched in an arm, and by which controller."""

    space: dict[str, Any]
    controller: dict[str, Any]


class Settings(Table):
    """All settings.

    Attributes:
        seeds: Seeds of the searches, the same for all arms.
        control: Name of the arm that the others are compared with first.
        tables: Tables of a config that all searches share.
        arms: The arms by name.
    """

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=2)]
    control: str
    tables: dict[str, dict[str, Any]]
    arms: Annotated[dict[str, ArmTable], Field(min_length=2)]

    def config(self, arm: str, seed: int, omniglot: Path | None) -> Config:
        """The config of one search. Raises ConfigError where it cannot be used."""
        tasks = {**self.tables.get("tasks", {}), **({} if omniglot is None else {"path": str(omniglot)})}
        search = {**self.tables.get("search", {}), "seed": seed, "device": "cpu"}
        table = self.arms[arm]
        shared = {**self.tables, "tasks": tasks, "search": search}
        return configs.from_json({**shared, "space": table.space, "controller": table.controller})


@dataclass(frozen=True)
class Searched:
    """Result of one search.

    Attributes:
        arm: Name of its arm.
        seed: Its seed.
        candidates: Number of candidates that it evaluated.
        failed: Number of those that failed.
        seconds: Seconds of their evaluations.
        accuracy: Accuracy of its winner on the test tasks.
        baseline: Accuracy of the baseline on the same tasks.
    """

    arm: str
    seed: int
    candidates: int
    failed: int
    seconds: float
    accuracy: float
    baseline: float


@dataclass(frozen=True)
class Study:
    """Result of the study.

    Attributes:
        searches: All searches.
        errors: Test errors of the arms in points, and their paired differences.
        baseline: Test error of the baseline, over the trainings of all searches of a seed.
        seconds: Duration of this run.
        machine: The machine.
    """

    searches: tuple[Searched, ...]
    errors: tuple[PairedError, ...]
    baseline: Mean
    seconds: float
    machine: Machine


def load(path: Path | None) -> Settings:
    """The settings that come with the study, or those of another file. Raises ConfigError where they are not valid."""
    settings = read_settings(Settings, "recipe_search", path)
    if settings.control not in settings.arms:
        raise ConfigError(f"control = {settings.control!r} is no arm; give one of {', '.join(settings.arms)}")
    return settings


def run_search(config: Config, arm: str, seed: int, work: Path) -> Searched:
    """Carries out one search in the work folder, or what is left of it."""
    os.environ["NAS_RUNS"] = str(work)
    folder = run_of(f"{arm}-seed{seed}")
    run = Run(folder)
    if not folder.store_path.exists():
        launch.start(config, folder, Silence())
    elif run.state != "done":
        launch.resume(folder, Silence())
    final, trials = run.final, run.trials
    if final is None or final.winner is None or final.baseline is None:
        raise RunError(f"run {folder.name} has no winner or no baseline; see nas show {folder.name}")
    return Searched(
        arm=arm,
        seed=seed,
        candidates=len(trials),
        failed=sum(trial.state == "failed" for trial in trials),
        seconds=sum(trial.seconds or 0.0 for trial in trials),
        accuracy=final.winner.value,
        baseline=final.baseline.value,
    )


def run(settings: Settings, omniglot: Path | None, work: Path, workers: int) -> Study:
    """The whole study, with so many searches at a time."""
    started = time.monotonic()
    plans = {(arm, seed): settings.config(arm, seed, omniglot) for seed in settings.seeds for arm in settings.arms}
    for config in plans.values():
        configs.build(config)
    work.mkdir(parents=True, exist_ok=True)
    with worker_processes(workers) as pool:
        calls = [pool.submit(run_search, config, arm, seed, work) for (arm, seed), config in plans.items()]
        done = [call.result() for call in finished(calls, lambda r: f"{r.arm}, seed {r.seed}: {r.accuracy:.4f}")]
    searches = {(each.arm, each.seed): each for each in done}
    errors = {arm: [100 - 100 * searches[arm, seed].accuracy for seed in settings.seeds] for arm in settings.arms}
    first = next(iter(settings.arms))
    baseline = [100 - 100 * searches[first, seed].baseline for seed in settings.seeds]
    return Study(
        searches=tuple(searches[key] for key in plans),
        errors=paired_errors(errors, [settings.control, *(arm for arm in settings.arms if arm != settings.control)]),
        baseline=mean_of(baseline),
        seconds=time.monotonic() - started,
        machine=machine(),
    )


def text(study: Study, settings: Settings) -> str:
    """The table for people."""
    tables = settings.tables
    tasks, evaluator, final = (tables[name] for name in ("tasks", "evaluator", "final"))
    lines = [
        f"Test error in % of the winners, {tasks['name']} {tasks['ways']}-way: "
        f"{tables['search']['seconds']:,} s of evaluations a search, {evaluator['budget']} s of meta-training a "
        f"candidate, {final['budget']} s in the finals, {len(settings.seeds)} seeds, {final['tasks']} test tasks",
        "",
        f"{'searched':<16}{'candidates':>11}{'failed':>8}{'error':>9}   95 % interval",
    ]
    for each in study.errors:
        rows = [row for row in study.searches if row.arm == each.name]
        counts = [sum(getattr(row, name) for row in rows) / len(rows) for name in ("candidates", "failed")]
        lines.append(f"{each.name:<16}{counts[0]:>11.1f}{counts[1]:>8.1f}{_error(each.error)}")
    lines.append(f"{'baseline':<16}{'':>19}{_error(study.baseline)}")
    lines += ["", f"{'less than':<32}{'points':>9}   95 % interval          p"]
    for each in study.errors:
        for other, apart in each.differences.items():
            shown = f"{apart.low:+.2f} to {apart.high:+.2f}"
            lines.append(f"{f'{each.name} − {other}':<32}{apart.value:>+9.2f}   {shown:<19}{p_text(apart.p_value):>7}")
    return "\n".join(
        [
            *lines,
            "",
            "Intervals and p are Student's t over seeds, paired by seed. Winners were chosen on validation tasks that "
            "no candidate had seen.",
            f"{study.seconds:,.0f} s.",
            f"Machine: {machine_line(study.machine)}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of the study."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=COMMAND, description="Network and training searched together")
    parser.add_argument("--omniglot", type=Path, help="file or folder of Omniglot, as tasks.path takes it")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--work", type=Path, default=Path("work-recipe-search"), help="folder of the runs")
    parser.add_argument("--workers", type=whole(1), default=2, help="number of searches at a time, one thread each")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        settings = load(options.settings)
        study = run(settings, options.omniglot, options.work.absolute(), options.workers)
        print_table(options, [*parser.prog.split(), *arguments], text(study, settings), asdict(study))


def _error(mean: Mean) -> str:
    return f"{mean.value:>9.2f}   {mean.low:.2f} to {mean.high:.2f}"


if __name__ == "__main__":
    main()
