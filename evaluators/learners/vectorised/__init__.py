"""Vectorised operations on many tasks at once, each with weights of its own."""
