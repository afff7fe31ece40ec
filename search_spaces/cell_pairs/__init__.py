"""The spaces `darts` and `nasnet`, of a normal and a reduction cell, and their networks."""
