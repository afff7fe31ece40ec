"""Networks of candidates: construction, checks, normalisation, size and speed, weights."""
