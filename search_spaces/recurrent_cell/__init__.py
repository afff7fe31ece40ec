"""Recurrent cells for sequences, and their networks."""
