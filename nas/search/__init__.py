"""The search loop and its options."""

from .loop import search
from .options import SearchOptions

__all__ = ["SearchOptions", "search"]
