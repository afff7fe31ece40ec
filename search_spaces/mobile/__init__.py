"""Inverted bottlenecks of MobileNet, and their networks."""
