"""The NAS-Bench-101 cell, and its networks."""
