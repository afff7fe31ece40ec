"""Random generators by seed and purpose, so that no state of a generator has to be kept."""

from __future__ import annotations

import hashlib

import torch


def generator_of(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on the CPU that depends on its arguments alone."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
