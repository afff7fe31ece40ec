"""Reproductions of published numbers: a script and a TOML each, whose table shows them beside the measured ones."""
