"""A person's own images from a folder to a predictor, as a new user would do it."""
