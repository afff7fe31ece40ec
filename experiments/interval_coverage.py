"""Coverage of the 95 % intervals of accuracies and differences, in simulated finals.

    python -m nas.experiments.interval_coverage [--studies 500] [--minutes N] [--before JSON] [--out TXT] [--json]

Ten minutes on two processor cores. In a study, five networks are trained with up to ten seeds and measured on 600 tasks
of 5 ways and 15 queries. Effects of classes, tasks and trainings are normal on the logit scale, with sizes as measured
on Omniglot: a training deviates by 2 points at an accuracy of .85. The code of the finals computes every interval.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.analysis.intervals import average, compare
from nas.analysis.seed_variance import ENOUGH_SEEDS, SeedPool
from nas.trial import Score

from .command_line import (
    Machine,
    add_output_options,
    explained,
    machine,
    machine_line,
    print_table,
    show_progress,
    whole,
)

Values = npt.NDArray[np.float64]
QUERIES = 15
"""Queries of each class in a task."""
SEEDS = (1, 2, 3, 5, 10)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
"""Gauss-Hermite quadrature for means over normal numbers."""
POOLED_SEEDS = max(seeds for seeds in SEEDS if seeds < ENOUGH_SEEDS)
"""Seeds of the networks that are measured only to be pooled with."""
BLOCK = 50
"""Studies that share a random generator, so that the result does not depend on the number of processes."""


@dataclass(frozen=True)
class Scenario:
    """Kind of finals. Standard deviations are on the logit scale; networks share half of classes' and tasks' variance.

    Attributes:
        name: Name in the table.
        logits: Mean logit of each network; the first is the winner, the second the baseline.
        seed_sds: Standard deviation between trainings of each network.
        shared: Part of the variance between trainings that all networks have in common, in [0, 1].
        groups: Number of units that generalise, such as alphabets; 0 if tasks name no classes.
        classes: Number of classes in each unit.
        within: Whether all classes of a task are of one unit.
        unit_sd: Standard deviation between units.
        class_sd: Standard deviation between classes of one unit.
        task_sd: Standard deviation between tasks.
        cell_sd: Standard deviation between classes of one task, in addition to `class_sd`.
        tasks: Number of tasks.
        ways: Classes a task.
    """

    name: str
    logits: tuple[float, ...] = (1.73, 1.5, 1.3, 1.7, 1.6)
    seed_sds: tuple[float, ...] = (0.157,) * 5
    shared: float = 0.0
    groups: int = 0
    classes: int = 1
    within: bool = False
    unit_sd: float = 0.0
    class_sd: float = 0.0
    task_sd: float = 0.4
    cell_sd: float = 0.6
    tasks: int = 600
    ways: int = 5

    @property
    def sd(self) -> float:
        """Standard deviation of all effects except those of trainings."""
        squares = (self.unit_sd, self.class_sd, self.task_sd, self.cell_sd)
        return float(np.sqrt(sum(sd**2 for sd in squares)))


NEAR_ONE = (3.9, 3.4, 3.0, 3.8, 3.6)
SCENARIOS = (
    Scenario("tasks"),
    Scenario("tasks, near 1", logits=NEAR_ONE),
    Scenario("tasks, small seed effect", seed_sds=(0.03,) * 5),
    Scenario("tasks, unequal seed effects", seed_sds=(0.2, 0.1, 0.15, 0.13, 0.2)),
    Scenario("tasks, seed effect 1/4 shared", shared=0.25),
    Scenario("tasks, one network", logits=(1.73,), seed_sds=(0.157,)),
    Scenario("100 characters, 4 turns", groups=100, classes=4, unit_sd=0.5, class_sd=0.3),
    Scenario("100 characters, near 1", logits=NEAR_ONE, groups=100, classes=4, unit_sd=0.5, class_sd=0.3),
    Scenario("20 alphabets", groups=20, classes=100, unit_sd=0.3, class_sd=0.5),
    Scenario("5 alphabets, one a task", groups=5, classes=100, within=True, unit_sd=0.3, class_sd=0.5),
)


@dataclass(frozen=True)
class Finals:
    """Simulated measurements.

    Attributes:
        scores: For each network its scores, one a seed.
        seed_effects: Effect of each training on the logit scale, (networks, seeds).
    """

    scores: tuple[tuple[Score, ...], ...]
    seed_effects: Values


class Quantity(NamedTuple):
    """Quantity that an interval is computed for.

    Attributes:
        what: "accuracy" of the winner, or its "difference" from the baseline.
        seeds: Number of trainings of each network.
    """

    what: str
    seeds: int


class Verdict(NamedTuple):
    """Whether one interval covers the true value, and its width."""

    covered: bool
    width: float


Study = Mapping[Quantity, Verdict]


@dataclass(frozen=True)
class Row:
    """Coverage and median width of the intervals of one quantity, over studies of one scenario."""

    scenario: str
    what: str
    seeds: int
    coverage: float
    width: float

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the row in the tables of several versions."""
        return self.scenario, self.what, self.seeds


@dataclass(frozen=True)
class Table:
    """Result of the simulation.

    Attributes:
        studies: Number of studies of each scenario.
        rows: Rows of all scenarios.
        before: JSON document of another version, to print beside, with a line about it added as `note`; None without.
        notes: Lines under the table.
        machine: The machine that it was computed on.
    """

    studies: int
    rows: tuple[Row, ...]
    before: Mapping[str, Any] | None
    notes: tuple[str, ...]
    machine: Machine


def simulate(scenario: Scenario, rng: np.random.Generator) -> Finals:
    """Draw classes, tasks and trainings, and measure every network on the same tasks."""
    s, networks, seeds = scenario, len(scenario.logits), max(SEEDS)
    classes = _classes(s, rng)

    def shared(sd: float, *shape: int) -> Values:
        """(networks, *shape) effects, half of whose variance all networks have in common."""
        parts: Values = rng.standard_normal((1, *shape)) + rng.standard_normal((networks, *shape))
        return parts * (sd / 2**0.5)

    difficulty = shared(s.task_sd, s.tasks, 1) + shared(s.cell_sd, s.tasks, s.ways)
    if s.groups:
        unit_effects, class_effects = shared(s.unit_sd, s.groups), shared(s.class_sd, s.groups * s.classes)
        difficulty = difficulty + unit_effects[:, classes // s.classes] + class_effects[:, classes]
    common, independent = rng.standard_normal((1, seeds)), rng.standard_normal((networks, seeds))
    effects = np.sqrt(s.shared) * common + np.sqrt(1 - s.shared) * independent
    effects = effects * np.array(s.seed_sds)[:, None]
    logits = np.array(s.logits)[:, None, None, None] + effects[..., None, None] + difficulty[:, None]
    scores = []
    for network, network_logits in enumerate(logits):
        compared = network < 2  # the others are measured only to be pooled with
        kept = network_logits if compared else network_logits[:POOLED_SEEDS]
        correct = rng.binomial(QUERIES, 1 / (1 + np.exp(-kept)))
        scores.append(tuple(_score(s, classes, of_seed, compared) for of_seed in correct))
    return Finals(tuple(scores), effects)


def truth(scenario: Scenario, network: int, effects: Values | None) -> float:
    """The true mean accuracy over all classes and tasks.

    Args:
        scenario: Scenario that was simulated.
        network: Index of the network.
        effects: Effects of the trainings to average over, (seeds,); None averages over all possible trainings.
    """
    logit = scenario.logits[network]
    if effects is None:
        return _mean(logit, float(np.hypot(scenario.sd, scenario.seed_sds[network])))
    return float(np.mean([_mean(logit + effect, scenario.sd) for effect in effects]))


def study(scenario: Scenario, rng: np.random.Generator) -> Study:
    """One simulated final: for each quantity, whether its interval covers the truth."""
    finals, verdicts = simulate(scenario, rng), dict[Quantity, Verdict]()
    for seeds in SEEDS:
        scores = [network[:seeds] for network in finals.scores]
        pool = None
        if seeds < ENOUGH_SEEDS:  # with more seeds the intervals do not pool
            pool = SeedPool.of_scores([{str(k): kept for k, kept in enumerate(scores)}], accuracy=True)
        intervals = {"accuracy": average(scores[0], accuracy=True, pool=pool)}
        if len(scores) > 1:
            intervals["difference"] = compare(scores[0], scores[1], accuracy=True, pool=pool)
        for what, interval in intervals.items():
            effects = [None if "trainings" in interval.parts else row[:seeds] for row in finals.seed_effects]
            true = truth(scenario, 0, effects[0])
            if what == "difference":
                true -= truth(scenario, 1, effects[1])
            covered = interval.low <= true <= interval.high
            verdicts[Quantity(what, seeds)] = Verdict(covered, interval.high - interval.low)
    return verdicts


def block(scenario: Scenario, number: int, studies: int) -> list[Study]:
    """Studies of block `number`, from a random generator of their own."""
    rng = np.random.default_rng([SCENARIOS.index(scenario) if scenario in SCENARIOS else 0, number])
    return [study(scenario, rng) for _ in range(studies)]


def rows(scenario: Scenario, studies: Sequence[Study]) -> Iterator[Row]:
    """The coverage and median width of each quantity, over studies."""
    for quantity in studies[0]:
        covered, widths = zip(*(each[quantity] for each in studies), strict=True)
        yield Row(scenario.name, quantity.what, quantity.seeds, float(np.mean(covered)), float(np.median(widths)))


def text(table: Table) -> str:
    """The table for people, with the columns of another version if it has them."""
    before = {row.key: row for row in (Row(**each) for each in table.before["rows"])} if table.before else {}
    heads = f"{'':<32}{'':<12}{'seeds':>5}{'coverage':>10}{'width':>8}" + (
        "   before" + f"{'width':>8}" if before else ""
    )
    lines = [f"Coverage of 95 % intervals and their median width in points, {table.studies:,} studies.", "", heads]
    for row in table.rows:
        line = f"{row.scenario:<32}{row.what:<12}{row.seeds:>5}{row.coverage:>10.3f}{100 * row.width:>8.2f}"
        if earlier := before.get(row.key):
            line += f"{earlier.coverage:>9.3f}{100 * earlier.width:>8.2f}"
        lines.append(line)
    notes = [table.before["note"]] if table.before and "note" in table.before else []
    return "\n".join([*lines, "", *table.notes, *notes, f"Machine: {machine_line(table.machine)}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    with explained(parser.prog):
        table = _run(options)
        print_table(options, [*parser.prog.split(), *arguments], text(table), asdict(table))


def _run(options: argparse.Namespace) -> Table:
    before = json.loads(options.before.read_text("utf-8")) if options.before else None
    sizes = [min(BLOCK, options.studies - start) for start in range(0, options.studies, BLOCK)]
    studies: dict[Scenario, list[Study]] = {scenario: [] for scenario in SCENARIOS}
    began, finished = time.monotonic(), 0
    with ProcessPoolExecutor(options.workers) as executor:
        for number, size in enumerate(sizes):
            blocks = executor.map(block, SCENARIOS, itertools.repeat(number), itertools.repeat(size))
            for scenario, of_block in zip(SCENARIOS, blocks, strict=True):
                studies[scenario] += of_block
            finished += size
            show_progress(f"{finished:,} studies")
            if options.minutes and time.monotonic() - began > 60 * options.minutes:
                break
    table = tuple(row for scenario, of_scenario in studies.items() for row in rows(scenario, of_scenario))
    error = 100 * np.sqrt(0.95 * 0.05 / finished)
    note = (
        f"The standard error of a coverage of .95 is {error:.1f} points. With one seed, and with two of one network, "
        "the truth is the mean of these trainings; else that of all."
    )
    return Table(finished, table, before, (note,), machine())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.interval_coverage", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--studies", type=whole(1), default=500, help="simulated finals of each kind")
    parser.add_argument("--minutes", type=whole(1), help="end with the studies made by then, if they are fewer")
    parser.add_argument("--workers", type=whole(1), default=1, help="processes")
    parser.add_argument("--before", type=Path, help="a document of --json of another version, to stand beside")
    add_output_options(parser)
    return parser


def _classes(s: Scenario, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The classes of each task, all different, (tasks, ways)."""
    if not s.groups:
        return np.zeros((s.tasks, s.ways), dtype=np.int64)
    population = s.classes if s.within else s.groups * s.classes
    drawn = rng.integers(population, size=(s.tasks, s.ways))
    while (repeated := (np.diff(np.sort(drawn, axis=1), axis=1) == 0).any(axis=1)).any():
        drawn[repeated] = rng.integers(population, size=(int(repeated.sum()), s.ways))
    return drawn + s.classes * rng.integers(s.groups, size=(s.tasks, 1)) if s.within else drawn


def _score(s: Scenario, classes: npt.NDArray[np.int64], correct: npt.NDArray[np.int64], with_units: bool) -> Score:
    """The score of a network by its correct queries, (tasks, ways)."""
    per_task = correct.mean(axis=1) / QUERIES
    score = Score(float(per_task.mean()), 0.0, per_task=tuple(per_task.tolist()))
    if not s.groups or not with_units:
        return score
    return replace(score, per_unit=_by_unit(classes // s.classes, correct), units="units")


def _by_unit(units: npt.NDArray[np.int64], correct: npt.NDArray[np.int64]) -> tuple[tuple[int, int, int, int], ...]:
    """(task, unit, correct queries, queries) of each unit in each task."""
    span = int(units.max()) + 1
    keys, indices = np.unique((np.arange(len(units))[:, None] * span + units).ravel(), return_inverse=True)
    correct_of_key = np.bincount(indices, correct.ravel()).astype(np.int64)
    columns = (keys // span, keys % span, correct_of_key, QUERIES * np.bincount(indices))
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _mean(logit: float, sd: float) -> float:
    """The mean of the logistic function of a normal number."""
    return float((WEIGHTS / (1 + np.exp(-(logit + sd * NODES)))).sum() / WEIGHTS.sum())


if __name__ == "__main__":
    main()
