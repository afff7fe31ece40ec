"""Differentiable automatic data augmentation (Li et al., arXiv 2003.03780)."""
