"""Surrogate models of scores, and the choice of proposals by them."""
