"""Learned optimizers beside tuned ones, on quadratic functions and on small networks.

    python -m nas.experiments.reproduce.learned_optimizer quadratics [--figure PNG] [--out TXT] [--json]
    python -m nas.experiments.reproduce.learned_optimizer mlp [--path FOLDER] [--figure PNG] [--out TXT] [--json]

Trains one optimizer for each seed, tunes the opponents' learning rates on validation functions, and measures all on
unseen functions. About 10 minutes (quadratics) and half an hour (mlp) on two cores; the networks need Fashion-MNIST
(apt install dataset-fashion-mnist). The work folder keeps the trainings, so that an interrupted study can be continued.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nas.analysis.intervals import Estimate, difference, estimate
from nas.evaluators.optimizers import opponents, training
from nas.evaluators.optimizers.lstm import Weights
from nas.evaluators.optimizers.opponents import OPPONENTS, Tuned, rates
from nas.evaluators.optimizers.problems import Problem
from nas.evaluators.optimizers.runs import OptimizerTraining
from nas.evaluators.optimizers.seeds import generator_of

from ..command_line import add_output_options, explained, machine, machine_line, print_table, resumable, show_progress
from .learned_optimizer_settings import StudyTable, TestTable, load, optimizee_of, trainer_of

LEARNED = "learned"
CPU = torch.device("cpu")
RANGES = {"sgd": (1e-3, 10.0), "nag": (1e-3, 10.0), "rmsprop": (1e-4, 1.0), "adam": (1e-3, 10.0)}
"""The lowest and the highest rate of each opponent's search; the best is to be inside."""
TEST_SEED = 1_000_000
"""Seed of the test functions, which are the same for all trainings."""
Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Row:
    """An optimizer on the functions of one test after some steps.

    Attributes:
        test: Title of the test.
        steps: Number of steps.
        optimizer: 'learned', or an opponent.
        rate: The opponent's tuned rate.
        loss: Mean loss over trainings and functions.
        less: Loss of the learned optimizer minus this one's, paired by function; None for the learned one itself.
    """

    test: str
    steps: int
    optimizer: str
    rate: float | None
    loss: Estimate
    less: Estimate | None


def trained(settings: StudyTable, name: str, seeds: Sequence[int], work: Path) -> list[Weights]:
    """Weights of one optimizer for each seed; finished trainings in the work folder are not repeated."""
    weights = []
    for seed in seeds:
        trainer = trainer_of(settings, seed)
        exported = trainer.run(work / f"{name}-seed{seed}", lambda state: None)
        show_progress(f"{name}, seed {seed}: validation loss {exported.trained['validation_loss']:.4g}")
        weights.append(exported.weights)
    return weights


def tuned_opponents(settings: StudyTable, test: TestTable) -> dict[str, Tuned]:
    """The opponents with rates tuned on validation functions of the test's kind, for the steps of the training."""
    optimizee = optimizee_of(settings, test)
    problem = optimizee.problem(generator_of(TEST_SEED, "tuning"), settings.tuning_functions, "validation", CPU)
    steps = int(settings.training.get("steps", 100))
    return {o: opponents.tuned(o, rates(*RANGES[o], settings.rates_a_decade), problem, steps) for o in OPPONENTS}


def measured(
    trainer: OptimizerTraining,
    weights: Sequence[Weights],
    tuned: Mapping[str, Tuned],
    problem: Problem,
    steps: int,
) -> Losses:
    """Losses (seeds, steps + 1, functions) of the learned optimizer, and (1, steps + 1, functions) of each opponent."""
    learned = [training.losses_of(trainer.spec, each, problem, steps) for each in weights]
    losses = {LEARNED: torch.stack(learned)}
    for name, opponent in tuned.items():
        losses[name] = opponents.losses_of(opponent.opponent, opponent.rate, problem, steps)[None]
    return {name: training.limited(each) for name, each in losses.items()}


def rows(test: TestTable, losses: Losses, tuned: Mapping[str, Tuned]) -> list[Row]:
    """The table's rows of a test."""
    found = []
    for steps in test.steps:
        ours = losses[LEARNED][:, steps].tolist()
        found.append(Row(test.title, steps, LEARNED, None, estimate(ours), None))
        for name, opponent in tuned.items():
            theirs = losses[name][:, steps].tolist()
            less = difference(ours, theirs * len(ours))
            found.append(Row(test.title, steps, name, opponent.rate, estimate(theirs), less))
    return found


def table_text(settings: StudyTable, found: Sequence[Row], seeds: Sequence[int]) -> str:
    """The study's table for people."""
    lines = [
        f"{settings.title}: mean loss, and that of the learned optimizer minus the opponent's with its 95 % interval, "
        f"paired by function.",
        "",
        f"{'functions':<24}{'steps':>6}  {'optimizer':<10}{'rate':>9}{'loss':>11}   learned - it",
    ]
    for row in found:
        rate = "" if row.rate is None else f"{row.rate:.3g}"
        less = ""
        if row.less is not None:
            less = f"   {row.less.value:+.4f}   {row.less.low:+.4f} – {row.less.high:+.4f}"
        lines.append(f"{row.test:<24}{row.steps:>6}  {row.optimizer:<10}{rate:>9}{row.loss.value:>11.4f}{less}")
    ranges = "; ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in RANGES.items())
    iterations, functions = (settings.training[key] for key in ("iterations", "functions"))
    steps = settings.training.get("steps", 100)
    return "\n".join(
        [
            *lines,
            "",
            f"Learned: {len(seeds)} trainings, seeds {' '.join(map(str, seeds))}, of {iterations} batches, "
            f"{functions} functions each; its intervals are over trainings and functions.",
            f"Opponents: rate with the least mean loss after {steps} steps on "
            f"{settings.tuning_functions} validation functions of the same kind, {settings.rates_a_decade} rates a "
            f"decade ({ranges}); momentum 0.9 for nag, other constants as in torch.",
            "Longer runs keep the rates; the learned optimizer was trained on the first 100 steps only.",
        ]
    )


def figure(settings: StudyTable, losses: Losses) -> bytes:
    """Learning curves of a test as a PNG: means over functions and trainings."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = drawing.subplots()
    for name, each in losses.items():
        axes.plot(each.mean(dim=(0, 2)), label=name, linewidth=2.2 if name == LEARNED else 1.3)
    axes.set(yscale="log", xlabel="steps", ylabel="mean loss", title=settings.title)
    axes.legend()
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    drawing.savefig(content, format="png", dpi=110)
    return content.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.reproduce.learned_optimizer", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("study", choices=["quadratics", "mlp"])
    parser.add_argument("--work", type=Path, default=Path("learned-optimizer-work"), help="folder of the trainings")
    parser.add_argument("--path", help="folder of the images' files, where it is not the Debian package's")
    parser.add_argument("--settings", type=Path, help="TOML file in place of the one that comes with the package")
    parser.add_argument("--figure", type=Path, help="also draw the first test's curves into this PNG")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("learned_optimizer", interrupted=resumable(options.work)):
        table, document, drawn = _study(options)
        if options.figure:
            options.figure.write_bytes(drawn)
        command = ["python", "-m", "nas.experiments.reproduce.learned_optimizer", *(arguments or sys.argv[1:])]
        print_table(options, command, table, document)


def _study(options: argparse.Namespace) -> tuple[str, dict[str, Any], bytes]:
    """The table, its JSON document and the figure."""
    settings = load(options.settings)
    study = settings.study(options.study, options.path)
    weights = trained(study, options.study, settings.seeds, options.work)
    trainer, drawn, found = trainer_of(study, settings.seeds[0]), b"", []
    for number, test in enumerate(study.tests):
        tuned = tuned_opponents(study, test)
        optimizee = optimizee_of(study, test)
        problem = optimizee.problem(generator_of(TEST_SEED, "test"), test.functions, "test", CPU)
        losses = measured(trainer, weights, tuned, problem, max(test.steps))
        found += rows(test, losses, tuned)
        drawn = drawn or figure(study, losses)
        show_progress(f"{test.title}: test {number + 1} of {len(study.tests)}")
    about = machine()
    text = f"{table_text(study, found, settings.seeds)}\n\nMachine: {machine_line(about)}"
    return text, {"study": options.study, "rows": [asdict(row) for row in found], "machine": about}, drawn


if __name__ == "__main__":
    main()
