"""Executors, in which candidates are evaluated."""

from .inline_executor import InlineExecutor
from .process_executor import ProcessExecutor
from .slots import default_workers, slots

__all__ = ["InlineExecutor", "ProcessExecutor", "default_workers", "slots"]
