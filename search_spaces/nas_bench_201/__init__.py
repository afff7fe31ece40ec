"""The NAS-Bench-201 cell, and its networks."""
