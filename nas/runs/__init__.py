"""One run from its config to its winner."""

from .folder import Run
from .launch import resume, run_search, start
from .progress import Outcome, Progress, Silence

__all__ = ["Outcome", "Progress", "Run", "Silence", "resume", "run_search", "start"]
