"""Stores of trials, on disk and in memory."""

from .memory_store import MemoryStore
from .sqlite_store import Store

__all__ = ["MemoryStore", "Store"]
