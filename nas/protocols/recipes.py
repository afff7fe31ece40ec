"""Protocols of search spaces that choose a training recipe besides a network, and of their evaluators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..training_recipe import TrainingRecipe
from .evaluators import Measurer
from .learners import Learner
from .spaces import SearchSpace

if TYPE_CHECKING:
    from ..architecture import Architecture


@runtime_checkable
class RecipeSpace(SearchSpace, Protocol):
    """Search space whose architectures are a network of another space and how to train it."""

    @property
    def architecture(self) -> SearchSpace:
        """The space of the networks."""
        ...

    def network_of(self, spec: Any) -> Architecture:
        """The network of a decided spec, as an architecture of that space."""
        ...

    def recipe_of(self, spec: Any) -> TrainingRecipe:
        """How it is trained."""
        ...


@runtime_checkable
class RecipeMeasuring(Protocol):
    """Evaluator that trains each candidate by the recipe that its space chose. It offers all of `Measurer`."""

    def learner_of(self, architecture: Architecture) -> Learner:
        """The inner loop of a candidate, where `Measurer.learner` is that of the default recipe."""
        ...

    def recipe_of(self, architecture: Architecture) -> TrainingRecipe:
        """How a candidate is trained."""
        ...

    def with_training(self, training: TrainingRecipe) -> Measurer:
        """The evaluator that trains all candidates by one recipe."""
        ...
