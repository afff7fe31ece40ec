"""Transformer encoders for sequences, and their networks."""
