"""Learned optimizers, read from the folders that `nas train-optimizer` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .registry import components

if TYPE_CHECKING:
    import torch

MakeOptimizer = Callable[[Iterable[Any]], "torch.optim.Optimizer"]


def load(folder: Path | str, *, lr: float = 1.0) -> MakeOptimizer:
    """Reads a learned optimizer.

    >>> make = nas.optimizers.load("runs/mlp/export")        # doctest: +SKIP
    >>> optimizer = make(network.parameters())                # doctest: +SKIP

    Args:
        folder: The folder.
        lr: Factor of the updates, above 0; 1 is how the optimizer was trained.

    Returns:
        A function that makes a torch.optim.Optimizer of a module's parameters, which are all on one device.

    Raises:
        DataError: The folder is missing, damaged, changed or of another version.
        ConfigError: `lr` is out of range.
    """
    optimizer = components.find("optimizer", "learned")(Path(folder), lr)
    optimizer.check()
    make: MakeOptimizer = optimizer
    return make
