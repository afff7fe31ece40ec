"""Counter-based random numbers on integer tensors, the same on every device.

A task is determined by (seed, split, index) alone. All of its random choices are hashes of these and of the number of
the choice. No generator is kept, so any task can be drawn at any time, and a batch is drawn without a loop over tasks.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from nas.errors import ConfigError, nearest
from nas.task import Split

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")

_GAMMA: Final = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number: 2**64 / golden ratio, odd
_MIX_1: Final = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2: Final = -7723592293110705685  # 0x94D049BB133111EB
_INT64_MAX: Final = 2**63 - 1


def task_keys(*, seed: int, split: Split, indices: Sequence[int], device: torch.device) -> Tensor:
    """A 64-bit key for each task: (tasks,) int64 on `device`, a function of seed, split and index alone.

    Raises:
        ConfigError: The split is unknown, or the seed or an index is negative.
    """
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r} of the tasks; {nearest(str(split), SPLITS)}")
    numbers = [_signed(operator.index(index)) for index in indices]
    stream = fold(fold(torch.tensor(_signed(seed)), 0), SPLITS.index(split))
    return fold(stream.to(device), torch.tensor(numbers, dtype=torch.int64).to(device))


def fold(keys: Tensor, numbers: Tensor | int) -> Tensor:
    """A new key for each key and number, broadcast together: int64 to int64, uniform over all 64-bit values."""
    return _mix(_mix(keys) + (torch.as_tensor(numbers, device=keys.device) + 1) * _GAMMA)


def choose(keys: Tensor, *, population: int, count: int, allowed: Tensor | None = None) -> Tensor:
    """Distinct random numbers of [0, population) for each key, in random order.

    Args:
        keys: Keys of any shape, int64.
        population: Exclusive upper bound.
        count: Number of numbers to choose, from 0 to `population`.
        allowed: (*keys.shape, population) bool, the numbers that may be chosen, at least `count` of them; None for all.

    Returns:
        Numbers (*keys.shape, count) int64.
    """
    positions = torch.arange(population, device=keys.device)
    low_bits = (1 << population.bit_length()) - 1
    # The low bits of each hash hold its position, so no two are equal and no device can break a tie in its own way.
    ranks = fold(keys[..., None], positions) & ~low_bits
    ranks = ranks | positions
    if allowed is not None:
        ranks = ranks.masked_fill(~allowed, _INT64_MAX)
    return ranks.topk(count, largest=False).values & low_bits


def uniform(keys: Tensor, count: int) -> Tensor:
    """`count` uniform numbers in [0, 1) for each key: (*keys.shape, count) float64, multiples of 2**-53."""
    bits = fold(keys[..., None], torch.arange(count, device=keys.device))
    return _shifted(bits, 11).to(torch.float64) * 2.0**-53


def _mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014)."""
    x = (x ^ _shifted(x, 30)) * _MIX_1
    x = (x ^ _shifted(x, 27)) * _MIX_2
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A right shift that fills with zeros; torch's own copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """The int64 with the low 64 bits of a non-negative number."""
    if number < 0:
        raise ConfigError(f"task number or seed {number} is negative; give a whole number from 0")
    return (number + 2**63) % 2**64 - 2**63
