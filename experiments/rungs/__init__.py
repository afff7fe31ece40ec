"""What `experiments/fidelity.py` is made of: settings, the training of a cell through rungs, rank correlation."""
