"""Meta-training of a candidate and its score on a bank of tasks."""
