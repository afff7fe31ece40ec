"""Benchmark of inner loops, beside other libraries."""
