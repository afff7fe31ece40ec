"""Ordinary supervised training of a network on one data set: the loop, its optimizers, crops and flips."""
