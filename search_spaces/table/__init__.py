"""Spaces of the architectures in a table file."""
