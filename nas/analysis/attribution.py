"""What each part of a winning recipe contributed, from scores of recipes that mix its parts with the default's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .intervals import Estimate, difference

Rows = Sequence[Sequence[float]]
"""Values by seed and task."""
Mix = frozenset[str]
"""The parts that a recipe has from the winner; the others are the default's."""


@dataclass(frozen=True)
class PartEffect:
    """What one part of the winner contributed, paired by seed and task.

    Attributes:
        part: Name of the part.
        choice: What the winner chose, in words.
        added: The default recipe with this part of the winner, minus the default.
        removed: The winner, minus the winner with the default's part in place of its own.
    """

    part: str
    choice: str
    added: Estimate
    removed: Estimate

    def to_json(self) -> dict[str, Any]:
        estimates = {"added": self.added.to_json(), "removed": self.removed.to_json()}
        return {"part": self.part, "choice": self.choice, **estimates}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> PartEffect:
        added, removed = (Estimate.from_json(data[key]) for key in ("added", "removed"))
        return PartEffect(data["part"], data["choice"], added, removed)


@dataclass(frozen=True)
class Attribution:
    """The difference between the winner and the default recipe, part by part.

    The effects of adding the parts and `interaction` sum to `total`; so do those of removing them and
    `overlap`. Both rests are 0 where the parts act independently of each other.

    Attributes:
        effects: The parts in which the two recipes differ.
        total: The winner minus the default.
        interaction: The total minus the sum of the parts' effects when each is added alone.
        overlap: The total minus the sum of the parts' effects when each is removed alone.
        tasks: Number of tasks.
        seeds: Number of meta-trainings of each recipe.
    """

    effects: tuple[PartEffect, ...]
    total: Estimate
    interaction: Estimate
    overlap: Estimate
    tasks: int
    seeds: int

    def to_json(self) -> dict[str, Any]:
        """The attribution as JSON values; `from_json` reads it back."""
        return {
            "effects": [effect.to_json() for effect in self.effects],
            "total": self.total.to_json(),
            "interaction": self.interaction.to_json(),
            "overlap": self.overlap.to_json(),
            "tasks": self.tasks,
            "seeds": self.seeds,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Attribution:
        total, interaction, overlap = (Estimate.from_json(data[key]) for key in ("total", "interaction", "overlap"))
        effects = tuple(PartEffect.from_json(effect) for effect in data["effects"])
        return Attribution(effects, total, interaction, overlap, data["tasks"], data["seeds"])


def mixes(parts: Sequence[str]) -> list[Mix]:
    """The recipes that an attribution measures: default, winner, each part added alone, each part removed alone."""
    everything = frozenset(parts)
    alone = [frozenset({part}) for part in parts]
    return list(dict.fromkeys([frozenset(), everything, *alone, *(everything - part for part in alone)]))


def attributed(values: Mapping[Mix, Rows], choices: Mapping[str, str]) -> Attribution:
    """The attribution.

    Args:
        values: Values of the recipes of `mixes`, for the same seeds and tasks.
        choices: What the winner chose, in words, by part.
    """
    everything = frozenset(choices)
    winner, default = values[everything], values[frozenset()]
    total = difference(winner, default)
    alone = [values[frozenset({part})] for part in choices]
    without = [values[everything - {part}] for part in choices]
    effects = [
        PartEffect(part, choice, difference(added, default), difference(winner, removed))
        for (part, choice), added, removed in zip(choices.items(), alone, without, strict=True)
    ]
    others = len(choices) - 1
    return Attribution(
        effects=tuple(effects),
        total=total,
        interaction=difference(_sum([winner, *[default] * others]), _sum(alone)),
        overlap=difference(_sum(without), _sum([default, *[winner] * others])),
        tasks=len(winner[0]),
        seeds=len(winner),
    )


def _sum(tables: Sequence[Rows]) -> list[list[float]]:
    """The sums, number by number, of tables of the same seeds and tasks."""
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
