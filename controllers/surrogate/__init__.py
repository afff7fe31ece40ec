"""Predictors of scores, which choose among proposals."""
