"""The space `augmentation-policy`."""
