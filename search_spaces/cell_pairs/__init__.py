"""The DARTS and NASNet spaces: a normal and a reduction cell, and their networks."""
