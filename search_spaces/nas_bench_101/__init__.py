"""The space `nas-bench-101` and its networks."""
