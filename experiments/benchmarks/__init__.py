"""Benchmarks of the toolkit itself: speed, memory and search quality."""
