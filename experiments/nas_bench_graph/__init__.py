"""NAS-Bench-Graph: its table read, and controllers compared on it."""
