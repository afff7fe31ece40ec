"""The space `transformer` and its networks."""
