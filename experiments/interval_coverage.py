"""How often 95 % intervals hold the true value: accuracies and differences, in simulated finals.

    python -m nas.experiments.interval_coverage [--studies 500] [--minutes N] [--before JSON] [--out TXT] [--json]

Some ten minutes on two processor cores. Five networks are meta-trained with up to ten seeds and measured on 600 tasks
of 5 ways and 15 queries. Effects of classes, tasks and trainings are normal on the logit scale, of sizes as measured on
Omniglot: a training deviates by 2 points at an accuracy of .85. Every interval is made by the code of the finals.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.analysis.intervals import Estimate, average, compare
from nas.analysis.seed_variance import ENOUGH_SEEDS, SeedPool
from nas.trial import Score

from .command_line import explained, machine, output, whole

Values = npt.NDArray[np.float64]
QUERIES = 15
SEEDS = (1, 2, 3, 5, 10)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
POOLED_SEEDS = max(seeds for seeds in SEEDS if seeds < ENOUGH_SEEDS)
"""Trainings of networks that are measured only to be pooled with."""
BLOCK = 50
"""Studies that share a random generator, so that the result does not depend on the number of processes."""


@dataclass(frozen=True)
class Scenario:
    """One kind of finals. Standard deviations are on the logit scale; networks share half of a class's and a task's.

    Attributes:
        name: What the table calls it.
        logits: Of each network; the first is the winner, the second the baseline.
        seed_sds: Standard deviation between trainings, of each network.
        shared: Part of the variance between trainings that all networks have in common.
        groups: Number of units that generalise; 0 where tasks name no classes.
        classes: Classes in each unit.
        within: Whether all classes of a task are of one unit.
        unit_sd: Standard deviation between units.
        class_sd: Standard deviation between classes of one unit.
        task_sd: Standard deviation between tasks.
        cell_sd: Standard deviation between classes of a task, besides that of the classes.
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
        """Of everything but the trainings."""
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
    """Simulated measurements: of each network its scores, one a seed, and the effect that each of its trainings has."""

    scores: tuple[tuple[Score, ...], ...]
    seed_effects: Values


def simulate(scenario: Scenario, rng: np.random.Generator) -> Finals:
    """Draws classes, tasks and trainings, and measures every network on the same tasks."""
    s, networks, seeds = scenario, len(scenario.logits), max(SEEDS)
    classes = _classes(s, rng)

    def shared(sd: float, *shape: int) -> Values:
        """(networks, *shape) effects, half of whose variance all networks have in common."""
        parts: Values = rng.standard_normal((1, *shape)) + rng.standard_normal((networks, *shape))
        return parts * (sd / 2**0.5)

    hard = shared(s.task_sd, s.tasks, 1) + shared(s.cell_sd, s.tasks, s.ways)
    if s.groups:
        units, own = shared(s.unit_sd, s.groups), shared(s.class_sd, s.groups * s.classes)
        hard = hard + units[:, classes // s.classes] + own[:, classes]
    common, alone = rng.standard_normal((1, seeds)), rng.standard_normal((networks, seeds))
    effects = np.sqrt(s.shared) * common + np.sqrt(1 - s.shared) * alone
    effects = effects * np.array(s.seed_sds)[:, None]
    logits = np.array(s.logits)[:, None, None, None] + effects[..., None, None] + hard[:, None]
    made = []
    for k, of_network in enumerate(logits):
        kept = of_network if k < 2 else of_network[:POOLED_SEEDS]
        right = rng.binomial(QUERIES, 1 / (1 + np.exp(-kept)))
        made.append(tuple(_score(s, classes, of_seed, k < 2) for of_seed in right))
    return Finals(tuple(made), effects)


def truth(scenario: Scenario, network: int, effects: Values | None) -> float:
    """The mean accuracy over all classes and tasks, and over all trainings, or over those with these effects."""
    logit = scenario.logits[network]
    if effects is None:
        return _mean(logit, float(np.hypot(scenario.sd, scenario.seed_sds[network])))
    return float(np.mean([_mean(logit + effect, scenario.sd) for effect in effects]))


def study(scenario: Scenario, rng: np.random.Generator) -> dict[str, tuple[bool, float]]:
    """For each quantity and number of seeds: whether its interval holds the truth, and its width."""
    finals, found = simulate(scenario, rng), dict[str, tuple[bool, float]]()
    for seeds in SEEDS:
        scores = [network[:seeds] for network in finals.scores]
        pool = None
        if seeds < ENOUGH_SEEDS:  # from there on the intervals use none
            pool = SeedPool.of_scores([{str(k): kept for k, kept in enumerate(scores)}], accuracy=True)
        tested = [(0, "accuracy", average(scores[0], accuracy=True, pool=pool))]
        if len(scores) > 1:
            tested.append((1, "difference", compare(scores[0], scores[1], accuracy=True, pool=pool)))
        for less, what, interval in tested:
            trainings = [None if "trainings" in interval.parts else row[:seeds] for row in finals.seed_effects]
            true = truth(scenario, 0, trainings[0]) - (truth(scenario, 1, trainings[1]) if less else 0.0)
            found[f"{what}/{seeds}"] = _judged(interval, true)
    return found


def block(scenario: Scenario, number: int, studies: int) -> list[dict[str, tuple[bool, float]]]:
    """Some studies, from a random generator of their own."""
    rng = np.random.default_rng([SCENARIOS.index(scenario) if scenario in SCENARIOS else 0, number])
    return [study(scenario, rng) for _ in range(studies)]


def rows(scenario: Scenario, found: Sequence[Mapping[str, tuple[bool, float]]]) -> Iterator[dict[str, Any]]:
    """Coverage and median width of each quantity, over studies."""
    for key in found[0]:
        held, widths = zip(*(one[key] for one in found), strict=True)
        what, seeds = key.split("/")
        yield {
            "scenario": scenario.name,
            "what": what,
            "seeds": int(seeds),
            "coverage": float(np.mean(held)),
            "width": float(np.median(widths)),
        }


def text(document: Mapping[str, Any]) -> str:
    """The table for people, with the columns of an earlier version where the document has them."""
    before = {_key(row): row for row in document["before"]["rows"]} if document["before"] else {}
    heads = f"{'':<32}{'':<12}{'seeds':>5}{'coverage':>10}{'width':>8}" + (
        "   before" + f"{'width':>8}" if before else ""
    )
    lines = [
        f"Coverage of 95 % intervals and their median width in points, {document['studies']:,} studies.",
        "",
        heads,
    ]
    for row in document["rows"]:
        line = (
            f"{row['scenario']:<32}{row['what']:<12}{row['seeds']:>5}{row['coverage']:>10.3f}{100 * row['width']:>8.2f}"
        )
        if earlier := before.get(_key(row)):
            line += f"{earlier['coverage']:>9.3f}{100 * earlier['width']:>8.2f}"
        lines.append(line)
    described = " · ".join(f"{key} {value}" for key, value in document["machine"].items())
    notes = [document["before"]["note"]] if before else []
    return "\n".join([*lines, "", *document["notes"], *notes, f"Machine: {described}"])


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    with explained(parser.prog):
        found = _document(options)
        print(json.dumps(found) if options.json else text(found))
        if options.out:
            command = shlex.join(["python", "-m", "nas.experiments.interval_coverage", *arguments])
            options.out.write_text(f"$ {command}\n{text(found)}\n", encoding="utf-8")


def _document(options: argparse.Namespace) -> dict[str, Any]:
    before = json.loads(options.before.read_text("utf-8")) if options.before else None
    sizes = [min(BLOCK, options.studies - start) for start in range(0, options.studies, BLOCK)]
    found: dict[Scenario, list[dict[str, tuple[bool, float]]]] = {scenario: [] for scenario in SCENARIOS}
    begun, made = time.monotonic(), 0
    with ProcessPoolExecutor(options.workers) as executor:
        for number, size in enumerate(sizes):
            done = executor.map(block, SCENARIOS, itertools.repeat(number), itertools.repeat(size))
            for scenario, studies in zip(SCENARIOS, done, strict=True):
                found[scenario] += studies
            made += size
            print(f"{made:,} studies", file=sys.stderr, flush=True)
            if options.minutes and time.monotonic() - begun > 60 * options.minutes:
                break
    table = [row for scenario, studies in found.items() for row in rows(scenario, studies)]
    error = 100 * np.sqrt(0.95 * 0.05 / made)
    notes = [
        f"The standard error of a coverage of .95 is {error:.1f} points. With one seed, and with two of one network, "
        "the truth is the mean of these trainings; else that of all."
    ]
    return {"studies": made, "rows": table, "before": before, "notes": notes, "machine": machine()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.interval_coverage", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--studies", type=whole(1), default=500, help="simulated finals of each kind")
    parser.add_argument("--minutes", type=whole(1), help="end with the studies made by then, if they are fewer")
    parser.add_argument("--workers", type=whole(1), default=1, help="processes")
    parser.add_argument("--before", type=Path, help="a document of --json of another version, to stand beside")
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _classes(s: Scenario, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(tasks, ways) different classes a task."""
    if not s.groups:
        return np.zeros((s.tasks, s.ways), dtype=np.int64)
    population = s.classes if s.within else s.groups * s.classes
    drawn = rng.integers(population, size=(s.tasks, s.ways))
    while (again := (np.diff(np.sort(drawn, axis=1), axis=1) == 0).any(axis=1)).any():
        drawn[again] = rng.integers(population, size=(int(again.sum()), s.ways))
    return drawn + s.classes * rng.integers(s.groups, size=(s.tasks, 1)) if s.within else drawn


def _score(s: Scenario, classes: npt.NDArray[np.int64], right: npt.NDArray[np.int64], by_class: bool) -> Score:
    """The score of queries right, (tasks, ways)."""
    per_task = right.mean(axis=1) / QUERIES
    score = Score(float(per_task.mean()), 0.0, per_task=tuple(per_task.tolist()))
    if not s.groups or not by_class:
        return score
    return replace(score, per_unit=_by_unit(classes // s.classes, right), units="units")


def _by_unit(units: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> tuple[tuple[int, int, int, int], ...]:
    """(task, unit, right, asked) of each unit in each task."""
    span = int(units.max()) + 1
    keys, places = np.unique((np.arange(len(units))[:, None] * span + units).ravel(), return_inverse=True)
    rights = np.bincount(places, right.ravel()).astype(np.int64)
    columns = (keys // span, keys % span, rights, QUERIES * np.bincount(places))
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _mean(logit: float, sd: float) -> float:
    """The mean of the logistic function of a normal number."""
    return float((WEIGHTS / (1 + np.exp(-(logit + sd * NODES)))).sum() / WEIGHTS.sum())


def _judged(interval: Estimate, true: float) -> tuple[bool, float]:
    return interval.low <= true <= interval.high, interval.high - interval.low


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["scenario"], row["what"], row["seeds"]


if __name__ == "__main__":
    main()
