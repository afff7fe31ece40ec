"""Executors, in which candidates are evaluated."""

from .adapter import ExecutorAdapter
from .engines import SlotRequest
from .inline_executor import InlineExecutor
from .process_executor import ProcessExecutor
from .slots import default_workers, slots

__all__ = ["ExecutorAdapter", "InlineExecutor", "ProcessExecutor", "SlotRequest", "default_workers", "slots"]
