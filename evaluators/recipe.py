"""Evaluator `recipe`: candidates that choose their own training, scored under one protocol at equal computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nas.architecture import Architecture
from nas.augmentation_policy import AugmentationPolicy
from nas.errors import ConfigError
from nas.protocols import Cost, Learner, RecipeSpace, TaskFamily, ZeroCost
from nas.registry import components
from nas.space import replay
from nas.task import Bank
from nas.training_recipe import LearnerChoice, TrainingRecipe
from nas.trial import Score

from .meta import MetaEvaluator, Unit

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class RecipeEvaluator(MetaEvaluator):
    """Meta-trains each candidate by the recipe that it chose (space `recipe`), all with the same computation.

    The options are the default recipe: what a candidate of another space is trained with, and the baseline network. The
    budget is one of computation, so that a recipe with dearer steps takes fewer of them.

    Attributes:
        unit: What the budget counts.
        training: Parts of the training that replace those of every candidate's own recipe; None for none.
    """

    unit: Unit = "GFLOPs"
    training: TrainingRecipe | None = None

    def with_training(self, training: TrainingRecipe) -> RecipeEvaluator:
        """The evaluator that trains all candidates by one recipe."""
        return replace(self, training=training)

    def recipe_of(self, architecture: Architecture) -> TrainingRecipe:
        """How a candidate is trained; parts that are None are as this evaluator's options say."""
        if self.training is not None:
            return self.training
        if isinstance(self.space, RecipeSpace):
            return self.space.recipe_of(replay(self.space, architecture))
        return TrainingRecipe()

    def learner_of(self, architecture: Architecture) -> Learner:
        """The inner loop of a candidate."""
        return self._plain(architecture)[0].learner

    def network(self, architecture: Architecture, seed: int) -> nn.Module:
        plain, network = self._plain(architecture)
        return plain.network(network, seed)

    def cost(self, architecture: Architecture, cost: Cost) -> float:
        plain, network = self._plain(architecture)
        return plain.cost(network, cost)

    def trained(self, architecture: Architecture, budget: int, seed: int, weights: Path) -> nn.Module:
        plain, network = self._plain(architecture)
        return plain.trained(network, budget, seed, weights)

    def check(self, architecture: Architecture) -> None:
        """Checks device, data and network with the default recipe; a candidate's own is checked when it is trained."""
        plain, network = self.with_training(TrainingRecipe())._plain(architecture)
        plain.check(network)

    def features(self, architecture: Architecture, names: Sequence[ZeroCost]) -> dict[str, float]:
        """Zero-cost scores of the network, which do not depend on its training."""
        plain, network = self._plain(architecture)
        return plain.features(network, names)

    def _training(self, budget: int) -> dict[str, Any]:
        """The protocol is that of all recipes: what they choose is not part of it."""
        chosen = ("learner", "norm", "head_norm", "outer")
        default = super()._training(budget)
        common = {key: value for key, value in default.items() if key not in chosen}
        return {"training": "recipe", **common, "default": {key: default[key] for key in chosen if key in default}}

    def _score(
        self,
        architecture: Architecture,
        budget: int,
        seed: int,
        bank: Bank,
        *,
        weights: Path | None = None,
        stages: tuple[int, Path] | None = None,
    ) -> Score:
        plain, network = self._plain(architecture)
        score = plain._score(network, budget, seed, bank, weights=weights, stages=stages)
        return replace(score, protocol=self.protocol(budget, bank, stages[0] if stages else None))

    def _plain(self, architecture: Architecture) -> tuple[MetaEvaluator, Architecture]:
        """The evaluator of a candidate's own recipe, and its network as an architecture of that evaluator's space.

        Raises:
            ConfigError: A part of the recipe cannot be used with the tasks or with another part.
        """
        space, network, recipe = self.space, architecture, self.recipe_of(architecture)
        if isinstance(space, RecipeSpace):
            network = space.network_of(replay(space, architecture))
            space = space.architecture
        options = {field.name: getattr(self, field.name) for field in fields(MetaEvaluator)}
        plain = MetaEvaluator(**options | {"space": space})
        if recipe.learner is not None:
            plain = replace(plain, learner=_learner(recipe.learner))
        if recipe.outer is not None:
            plain = replace(plain, outer=recipe.outer)
        if recipe.augmentation is not None:
            plain = replace(plain, tasks=_augmented(self.tasks, recipe.augmentation))
        if recipe.normalisation is not None:
            plain = replace(plain, norm=recipe.normalisation.norm, head_norm=recipe.normalisation.head_norm)
        return plain, network


def _learner(choice: LearnerChoice) -> Learner:
    learner: Learner = components.create("learner", choice.name, dict(choice.options))
    return learner


def _augmented(tasks: TaskFamily, policy: AugmentationPolicy) -> TaskFamily:
    """The tasks with the policy in place of their own augmentation. Raises ConfigError where they take none."""
    from .augmentation.policies import PolicyAugmentation

    if not hasattr(tasks, "augmentation"):
        raise ConfigError(
            f"tasks {tasks.name!r} take no augmentation, which is for families of images; leave it out of the recipe: "
            "sub_policies = 0, and no policy"
        )
    augmented: TaskFamily = replace(cast("Any", tasks), augmentation=PolicyAugmentation(policy))
    return augmented
