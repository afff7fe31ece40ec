"""Multilayer perceptrons, and the hand-designed baseline networks."""
