"""Protocols of the components that the packages exchange. Plain classes satisfy them, without a base class."""

from .controllers import Controller, Trials
from .evaluators import (
    Cost,
    Costed,
    Evaluator,
    Featured,
    Measurer,
    Measuring,
    Normalising,
    Protocolled,
    Resumable,
    Tabled,
    ZeroCost,
)
from .learners import CARRIED, LEARNER, Learner, Portable, SecondOrder
from .spaces import FileSpace, GraphSpace, SearchSpace, TextSpace
from .tasks import ClassNames, FewShot, Grouped, Inventoried, Licensed, Preprocessed, Reader, TargetReader, TaskFamily

__all__ = [
    "CARRIED",
    "LEARNER",
    "ClassNames",
    "Controller",
    "Cost",
    "Costed",
    "Evaluator",
    "Featured",
    "FewShot",
    "FileSpace",
    "GraphSpace",
    "Grouped",
    "Inventoried",
    "Learner",
    "Licensed",
    "Measurer",
    "Measuring",
    "Normalising",
    "Portable",
    "Preprocessed",
    "Protocolled",
    "Reader",
    "Resumable",
    "SearchSpace",
    "SecondOrder",
    "Tabled",
    "TargetReader",
    "TaskFamily",
    "TextSpace",
    "Trials",
    "ZeroCost",
]
