"""Runs, from a config to the winner."""

from .extending import Extension
from .progress import Progress, Silence
from .run import Run, open_run, resume, run_search

__all__ = ["Extension", "Progress", "Run", "Silence", "open_run", "resume", "run_search"]
