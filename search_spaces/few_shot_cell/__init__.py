"""A small cell for few-shot images, stacked, and its networks."""
