"""Contributions of a winning recipe's parts, from scores of recipes that mix its parts with the default's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..trial import Score
from .intervals import Estimate, compare, difference
from .seed_variance import SeedPool, square_scale

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
        effects: The parts that the winner chose. The effect of one in which it agrees with the default is 0.
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


def attributed(scores: Mapping[Mix, Sequence[Score]], choices: Mapping[str, str], *, accuracy: bool) -> Attribution:
    """The attribution.

    Args:
        scores: Scores of the recipes of `mixes`, one a seed, for the same seeds and tasks.
        choices: What the winner chose, in words, by part.
        accuracy: Whether the values are accuracies.
    """
    everything = frozenset(choices)
    pool = SeedPool.of_scores([{" ".join(sorted(mix)): row for mix, row in scores.items()}], accuracy=accuracy)

    def effect(more: Mix, fewer: Mix) -> Estimate:
        return compare(scores[more], scores[fewer], accuracy=accuracy, pool=pool)

    effects = [
        PartEffect(part, choice, effect(frozenset({part}), frozenset()), effect(everything, everything - {part}))
        for part, choice in choices.items()
    ]
    alone, without = ([frozenset({part}) for part in choices], [everything - {part} for part in choices])
    others = len(choices) - 1
    rests = [
        {everything: 1, frozenset(): others} | dict.fromkeys(alone, -1),
        {everything: -others, frozenset(): -1} | dict.fromkeys(without, 1),
    ]
    interaction, overlap = (_combination(scores, weights, pool) for weights in rests)
    return Attribution(
        effects=tuple(effects),
        total=effect(everything, frozenset()),
        interaction=interaction,
        overlap=overlap,
        tasks=len(scores[everything][0].per_task),
        seeds=len(scores[everything]),
    )


def _combination(scores: Mapping[Mix, Sequence[Score]], weights: Mapping[Mix, float], pool: SeedPool) -> Estimate:
    """The mean of a weighted sum of recipes' values, whose trainings vary independently of each other."""
    tables = {mix: np.array([score.per_task for score in scores[mix]]) for mix in weights}
    total = np.zeros_like(next(iter(tables.values())))
    square = 0.0
    for mix, weight in weights.items():
        total += weight * tables[mix]
        square += weight**2 * square_scale(tables[mix], accuracy=pool.accuracy)
    pooled = pool.of_differences()
    return difference(total.tolist(), np.zeros_like(total).tolist(), pooled=pooled and pooled.scaled(square))
