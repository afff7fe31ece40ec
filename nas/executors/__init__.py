"""Where candidates run."""

from .inline import InlineExecutor
from .processes import ProcessExecutor
from .slots import default_workers, slots

__all__ = ["InlineExecutor", "ProcessExecutor", "default_workers", "slots"]
