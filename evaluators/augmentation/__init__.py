"""Augmentation of images: operations, policies, and policies learned by gradient (DADA)."""
