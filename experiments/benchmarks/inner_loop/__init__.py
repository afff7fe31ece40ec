"""Benchmark of inner loops beside those of other libraries."""
