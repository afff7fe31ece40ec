"""Networks of candidates: building, checks, normalisation, size and speed, weights."""
