"""Evaluators of candidates: meta-training, table look-ups, zero-cost scores. `nas.registry` finds them by name."""

from .meta import MetaEvaluator
from .tabular import Tabular
from .zero_cost import ZeroCostEvaluator

__all__ = ["MetaEvaluator", "Tabular", "ZeroCostEvaluator"]
