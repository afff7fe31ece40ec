"""Protocols of the components that the packages exchange. Plain classes satisfy them, without a base class."""

from .augmentations import Augmentation, AugmentingSpace
from .controllers import Controller, Trials, Watched
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
from .executors import CandidateExecutor, Submits
from .learners import CARRIED, LEARNER, Learner, Portable, SecondOrder
from .optimizers import Optimizer
from .recipes import RecipeMeasuring, RecipeSpace
from .spaces import FileSpace, GraphSpace, SearchSpace, TextSpace
from .tasks import (
    ClassNames,
    Faulty,
    FewShot,
    Grouped,
    Inventoried,
    Labelled,
    Licensed,
    Preprocessed,
    Reader,
    Sized,
    TargetReader,
    TaskFamily,
)

__all__ = [
    "CARRIED",
    "LEARNER",
    "Augmentation",
    "AugmentingSpace",
    "CandidateExecutor",
    "ClassNames",
    "Controller",
    "Cost",
    "Costed",
    "Evaluator",
    "Faulty",
    "Featured",
    "FewShot",
    "FileSpace",
    "GraphSpace",
    "Grouped",
    "Inventoried",
    "Labelled",
    "Learner",
    "Licensed",
    "Measurer",
    "Measuring",
    "Normalising",
    "Optimizer",
    "Portable",
    "Preprocessed",
    "Protocolled",
    "Reader",
    "RecipeMeasuring",
    "RecipeSpace",
    "Resumable",
    "SearchSpace",
    "SecondOrder",
    "Sized",
    "Submits",
    "Tabled",
    "TargetReader",
    "TaskFamily",
    "TextSpace",
    "Trials",
    "Watched",
    "ZeroCost",
]
