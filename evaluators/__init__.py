"""Evaluators of candidates: meta-training, recipes, supervised training, tables, zero-cost scores."""

from .meta import MetaEvaluator
from .recipe import RecipeEvaluator
from .supervised import SupervisedEvaluator
from .tabular import Tabular
from .zero_cost import ZeroCostEvaluator

__all__ = ["MetaEvaluator", "RecipeEvaluator", "SupervisedEvaluator", "Tabular", "ZeroCostEvaluator"]
