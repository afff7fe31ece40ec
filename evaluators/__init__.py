"""Evaluators of candidates: meta-training, supervised training, tables, zero-cost scores. `nas.registry` finds them."""

from .meta import MetaEvaluator
from .supervised import SupervisedEvaluator
from .tabular import Tabular
from .zero_cost import ZeroCostEvaluator

__all__ = ["MetaEvaluator", "SupervisedEvaluator", "Tabular", "ZeroCostEvaluator"]
