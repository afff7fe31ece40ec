"""The space `nas-bench-201` and its networks."""
