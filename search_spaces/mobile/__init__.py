"""The space `mobile` and its networks."""
