"""Cards of exported networks: of a run's winner, from its final result, and of any other trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.final_result import FinalResult, Measured
from ..analysis.intervals import TASKS, estimate
from ..analysis.units import budget_unit, task_unit
from ..architecture import Architecture
from ..config.parts import Parts, learner_of
from ..config.schema import Config
from ..export.card import Card, CardRow
from ..protocols.recipes import RecipeMeasuring
from ..protocols.tasks import ClassNames, FewShot, Labelled, Licensed, TaskFamily
from ..provenance import processor, versions
from ..report.formatting import TERMINAL, interval_of, number
from ..trial import Score, Trial


def card_of_winner(final: FinalResult, config: Config, parts: Parts, trial: Trial | None) -> Card:
    """The card of a run's winner.

    Args:
        final: The run's final result, with a winner.
        config: The run's config.
        parts: The components that it names.
        trial: The winner's trial, for its latency; None where it is not known.
    """
    winner = final.winner
    assert winner is not None
    rows = [_row(role, entry, final.percent) for role, entry in final.tested.items()]
    if final.difference is not None:
        value = number(final.difference.value, final.percent, signed=True, plain=TERMINAL)
        interval = interval_of(final.difference, final.percent, signed=True, plain=TERMINAL)
        rows.append(CardRow("difference", value, interval))
    seeds = [str(entry.get("seed")) for entry in winner.provenance]
    return Card(
        title=_title(config, parts, winner.architecture),
        facts=_facts(config, parts, winner.architecture, seeds, trial),
        measure=f"test {_measure(final.percent)}",
        results=rows,
        protocol=_protocol(final, winner),
        limits=_limits(winner.protocol, final.percent),
        versions=versions(),
        classes=_classes(parts.measurer.tasks),
    )


def card_of_trial(trial: Trial, score: Score, config: Config, parts: Parts) -> Card:
    """The card of a trial that is not the winner.

    Args:
        trial: The trial.
        score: Its score on fresh validation tasks, after the meta-training of the exported weights.
        config: The run's config.
        parts: The components that it names.
    """
    percent = parts.measurer.tasks.shape.kind == "classification"
    measured = estimate([score.per_task])
    metrics = score.metrics
    entry = Measured(
        trial.architecture,
        measured,
        parameters=metrics.get("parameters"),
        flops=metrics.get("flops"),
        flops_uncounted=metrics.get("flops_uncounted", 0.0),
    )
    return Card(
        title=_title(config, parts, trial.architecture),
        facts=_facts(config, parts, trial.architecture, [str(score.provenance.get("seed"))], trial),
        measure=f"validation {_measure(percent)}",
        results=[_row(f"trial {trial.number}", entry, percent)],
        protocol=_protocol_of_trial(score),
        limits=_limits(score.protocol, percent),
        versions=versions(),
        classes=_classes(parts.measurer.tasks),
    )


def choice_rows(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The options that an architecture took as rows of the card's table, whose columns are separated by bars."""
    return [
        (_cell(choice), _cell(option if isinstance(option, str) else json.dumps(option, ensure_ascii=False)))
        for choice, option in options.items()
    ]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _title(config: Config, parts: Parts, architecture: Architecture) -> str:
    return f"{_base_name(config.space.name)} {architecture.key} for {_base_name(parts.measurer.tasks.name)}"


def _measure(percent: bool) -> str:
    return "accuracy" if percent else "score (higher is better)"


def _facts(
    config: Config, parts: Parts, architecture: Architecture, seeds: Sequence[str], trial: Trial | None
) -> list[tuple[str, str]]:
    tasks = parts.measurer.tasks
    percent = tasks.shape.kind == "classification"
    if isinstance(tasks, Labelled):
        what = [("Data", f"{_base_name(tasks.name)}: {tasks.shape.num_outputs} classes")]
        how = [("Seeds of the trainings", ", ".join(seeds) or "not known")]
    else:
        what = [("Tasks", _tasks_text(tasks))]
        how = [("Learner", learner_of(parts.measurer, architecture).name)]
        how += _recipe(parts, architecture)
        how.append(("Seeds of the meta-trainings", ", ".join(seeds) or "not known"))
    return [
        ("Search space", _base_name(config.space.name)),
        ("Architecture", architecture.key),
        *what,
        ("Input", " × ".join(map(str, tasks.shape.input_shape)) + ", float32"),
        ("Output", f"{tasks.shape.num_outputs} {'class scores' if percent else 'numbers'}"),
        *how,
        ("Latency of one input", _latency(trial)),
        ("Licence of the data", tasks.licence if isinstance(tasks, Licensed) else "not known; ask who owns the data"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
    ]


def _recipe(parts: Parts, architecture: Architecture) -> list[tuple[str, str]]:
    """What a candidate that chose its own training is trained with, besides the learner's name."""
    measurer = parts.measurer
    if not isinstance(measurer, RecipeMeasuring):
        return []
    recipe = measurer.recipe_of(architecture)
    return [(f"Training: {part}", recipe.text(part)) for part in recipe.parts]


def _tasks_text(tasks: TaskFamily) -> str:
    """'omniglot: 5-way, 1 support and 15 query examples of each class'."""
    classification = tasks.shape.kind == "classification"
    few = f"{tasks.shots} support and {tasks.queries} query examples" if isinstance(tasks, FewShot) else "small tasks"
    ways = f"{tasks.shape.num_outputs}-way, " if classification else ""
    return f"{_base_name(tasks.name)}: {ways}{few}{' of each class' if classification else ''}"


def _classes(tasks: TaskFamily) -> tuple[str, ...]:
    """Names of the classes that a network tells apart without adaptation; numbers where they have no names."""
    if not isinstance(tasks, Labelled):
        return ()
    return tuple(tasks.classes("train") if isinstance(tasks, ClassNames) else map(str, range(tasks.shape.num_outputs)))


def _row(role: str, entry: Measured, percent: bool) -> CardRow:
    parameters = "" if entry.parameters is None else f"{entry.parameters:,.0f}"
    at_least = "≥ " if entry.flops_uncounted else ""
    flops = "" if entry.flops is None else f"{at_least}{entry.flops / 1e6:.2f}"
    value = number(entry.value, percent, plain=TERMINAL)
    return CardRow(role, value, interval_of(entry.estimate, percent, plain=TERMINAL), parameters, flops)


def _protocol(final: FinalResult, winner: Measured) -> str:
    unit, steps = task_unit(winner.protocol), budget_unit(winner.protocol)
    new = ", of classes that the search never saw," if unit == TASKS else ", which the search never saw,"
    text = (
        f"Measured once on {final.tasks} test {unit}{new} after {winner.protocol.get('budget')} {steps}, with "
        f"{len(winner.seeds)} seeds; architecture.json has the whole protocol."
    )
    return f"{text} Warning: {final.warning}." if final.warning else text


def _protocol_of_trial(score: Score) -> str:
    unit, steps = task_unit(score.protocol), budget_unit(score.protocol)
    seen = "networks of these classes" if unit == TASKS else "networks trained on the same data"
    return (
        f"Measured on {len(score.per_task)} validation {unit} after {score.protocol.get('budget')} {steps}, with one "
        f"seed; the interval is over {unit} alone. The search chose among {seen}, so test {unit} may give less. It was "
        "not compared with a baseline; the run's winner was."
    )


def _limits(protocol: Mapping[str, Any], percent: bool) -> list[str]:
    if task_unit(protocol) != TASKS:
        return [
            "It knows these classes alone, and gives one of them to any input.",
            "The intervals hold for examples like those of the test; other data may do better or worse.",
        ]
    limits = [
        "It is made to be adapted: without labelled examples of the task its outputs mean nothing.",
        "The intervals hold for tasks like those of the test; other data may do better or worse.",
    ]
    if percent:
        limits.append("For another number of classes than in the table its head is rebuilt, which was not measured.")
    if protocol.get("norm") == "batch":
        limits.append(
            "It normalises by the batch: predictions of examples that are given together depend on each other."
        )
    return limits


def _latency(trial: Trial | None) -> str:
    latency = None if trial is None or trial.score is None else trial.score.metrics.get("latency_ms")
    if trial is None or trial.score is None or latency is None:
        return "not measured"
    device = trial.score.provenance.get("device")
    name = device.get("name") if isinstance(device, Mapping) else None
    return f"{latency:.2f} ms on {name or processor()}"


def _base_name(name: str) -> str:
    """A component's name without the folder of a FILE.py."""
    return name.replace("\\", "/").rpartition("/")[2]
