"""Learned optimizers: reading of the folders that `nas train-optimizer` writes, and what a training of one offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .registry import components

if TYPE_CHECKING:
    import torch

MakeOptimizer = Callable[[Iterable[Any]], "torch.optim.Optimizer"]


class Progress(Protocol):
    """How far a training is."""

    @property
    def iteration(self) -> int:
        """Finished iterations."""
        ...

    @property
    def best_loss(self) -> float:
        """The least validation loss so far; infinite before the first measurement."""
        ...


class OptimizerExport(Protocol):
    """A trained optimizer."""

    def contents(self) -> Mapping[str, bytes]:
        """The files of its folder by name."""
        ...


class OptimizerTrainer(Protocol):
    """A training of an optimizer that a config describes."""

    @property
    def iterations(self) -> int:
        """Iterations in all."""
        ...

    def run(self, folder: Path, progress: Callable[[Progress], None]) -> OptimizerExport:
        """Trains to the end, from where the folder's checkpoint is; `progress` is called after each iteration."""
        ...


def load(folder: Path | str, *, lr: float = 1.0) -> MakeOptimizer:
    """Reads a learned optimizer.

    >>> make = nas.optimizers.load("runs/mlp/export")  # doctest: +SKIP
    >>> optimizer = make(network.parameters())  # doctest: +SKIP

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
