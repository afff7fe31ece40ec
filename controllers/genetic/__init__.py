"""Evolutionary operators, steady-state evolution and the ranking of NSGA-II."""
