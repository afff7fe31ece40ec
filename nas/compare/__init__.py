"""Comparison of controllers at equal budget."""

from .searches import compare

__all__ = ["compare"]
