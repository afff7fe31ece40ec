"""Digest of a frozen bank of tasks: scores with equal digests come from equal tasks."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import torch

from nas.errors import ConfigError
from nas.protocols import TaskFamily
from nas.task import Bank

from ..tasks.drawing import draw

DRAWN_AT_ONCE: Final = 25  # This bounds memory; the digest does not depend on it.


def digest(family: TaskFamily, bank: Bank) -> str:
    """Digest of the tasks of a bank, in their order: examples in the order of `draw`, labels, and classes.

    The tasks are drawn on the CPU, whatever device scores them, and once in a process for equal families.

    Args:
        family: Source of the tasks.
        bank: The bank.

    Returns:
        16 hexadecimal digits.

    Raises:
        ConfigError: The family is not a frozen value.
    """
    try:
        hash(family)
    except TypeError as error:
        raise ConfigError(
            f"tasks {family.name!r} are no frozen value ({error}), so their banks cannot be told apart; make the "
            "family a frozen dataclass, with tuples in place of lists"
        ) from None
    return _digest(family, bank)


@lru_cache(maxsize=8)
def _digest(family: TaskFamily, bank: Bank) -> str:
    sha = hashlib.sha256()
    for start in range(0, bank.count, DRAWN_AT_ONCE):
        batch = draw(family, bank.split, bank.indices[start : start + DRAWN_AT_ONCE], torch.device("cpu"))
        tensors = {name: x.contiguous() for name, x in vars(batch).items() if x is not None}
        for task in range(len(batch.support_x)):
            for name, x in tensors.items():
                sha.update(f"{name} {x.dtype} {tuple(x.shape[1:])}".encode())
                sha.update(x[task].numpy())
    return sha.hexdigest()[:16]
