"""The search loop."""

from .loop import search

__all__ = ["search"]
