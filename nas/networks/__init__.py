"""Properties that the network of every candidate must have."""
