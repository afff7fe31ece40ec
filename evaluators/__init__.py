"""Who judges: the meta-evaluator and what it is made of. `nas.registry` finds the parts by name."""

from .meta import MetaEvaluator
from .tabular import Tabular
from .zero_cost import ZeroCostEvaluator

__all__ = ["MetaEvaluator", "Tabular", "ZeroCostEvaluator"]
