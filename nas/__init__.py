"""adaptnas: neural architecture search for learning from few examples."""

from .architecture import Architecture, Score, Trial
from .errors import NasError
from .protocols import Bank, TaskBatch, TaskShape

__version__ = "0.1.0"

__all__ = ["Architecture", "Bank", "NasError", "Score", "TaskBatch", "TaskShape", "Trial", "__version__"]
