"""Attribution of a winning recipe: its parts exchanged with the default's, one at a time, on fresh tasks."""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis.attribution import Attribution, Mix, attributed, mixes
from ..architecture import Architecture
from ..protocols.recipes import RecipeMeasuring
from ..task import FRESH, Bank
from ..training_recipe import TrainingRecipe
from ..trial import Score
from .measurements import Measurement, Measurements

NETWORK = "network"
"""Name of the part that is not of the training."""


@dataclass(frozen=True)
class _Recipes:
    """The winner, the default, and the recipes between them.

    Attributes:
        winner: The winner's architecture.
        training: How it is trained.
        default: The architecture of the baseline network, which is trained by the evaluator's own options.
    """

    winner: Architecture
    training: TrainingRecipe
    default: Architecture

    @property
    def choices(self) -> dict[str, str]:
        """What the winner chose, in words, by part."""
        return {NETWORK: self.winner.key, **{part: self.training.text(part) for part in self.training.parts}}

    def of(self, mix: Mix) -> tuple[Architecture, TrainingRecipe]:
        """Network and training of the recipe that has some parts from the winner and the others from the default."""
        training = TrainingRecipe()
        for part in mix - {NETWORK}:
            training = training.with_part(self.training, part)
        return (self.winner if NETWORK in mix else self.default), training


def attribution_of(measurements: Measurements, winner: Architecture, default: Architecture) -> Attribution | None:
    """The contribution of each part of the winner.

    All recipes are trained with the same seeds, and measured on the same validation tasks, which nothing in the run has
    seen: those after the fresh ones of the finals.

    Args:
        measurements: The run's measurements.
        winner: The winner.
        default: The baseline network.

    Returns:
        The attribution; None where the winner has no recipe, or where a measurement failed, which is then among the
        failures of the finals.

    Raises:
        Stopped: The run was asked to stop.
    """
    evaluator, config = measurements.context.parts.measurer, measurements.context.config.final
    if not isinstance(evaluator, RecipeMeasuring):
        return None
    recipes = _Recipes(winner, evaluator.recipe_of(winner), default)
    bank = Bank("validation", FRESH + config.validation_tasks, config.validation_tasks)
    seeds = measurements.seeds(config.seeds)
    planned = {
        mix: [Measurement(architecture, seed, bank, training) for seed in seeds]
        for mix in mixes(list(recipes.choices))
        for architecture, training in [recipes.of(mix)]
    }
    measurements.make_each([each for row in planned.values() for each in row])
    records = {mix: [measurements.context.store.get(each.key) for each in row] for mix, row in planned.items()}
    if not all(record and record["score"] for row in records.values() for record in row):
        return None
    scores = {mix: [Score.from_json(record["score"]) for record in row] for mix, row in records.items()}
    return attributed(scores, recipes.choices, accuracy=measurements.accuracy)
