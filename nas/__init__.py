"""adaptnas: neural architecture search for learning from few examples."""

from .architecture import Architecture
from .errors import NasError
from .task import Bank, TaskBatch, TaskShape
from .trial import Score, Trial

__version__ = "0.1.0"

__all__ = ["Architecture", "Bank", "NasError", "Score", "TaskBatch", "TaskShape", "Trial", "__version__"]
