"""Augmentation of images: the operations of learned policies, on a whole batch at once."""
