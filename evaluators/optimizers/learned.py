"""A learned optimizer as a torch.optim.Optimizer, for any module."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor, nn

from nas.bounds import LARGEST_RATE, check_number
from nas.errors import ConfigError

from .files import ExportedOptimizer, read
from .fused_step import FusedLstm
from .lstm import INPUTS

HIDDEN, CELL = "hidden", "cell"
"""Keys of a parameter's state: the layers' outputs (layers * hidden, size) and cells (layers, hidden, size)."""


class _Joined(NamedTuple):
    """State of several parameters in one.

    Attributes:
        owners: The parameters.
        cells: Their parts of `cell`, by which it is seen that the state is still theirs.
        signals: First tensor of `FusedLstm.start`.
        cell: The second.
    """

    owners: list[Tensor]
    cells: list[Tensor]
    signals: Tensor
    cell: Tensor


class LearnedOptimizer(torch.optim.Optimizer):
    """A trained coordinatewise LSTM (Andrychowicz et al., arXiv 1606.04474), with a state for each coordinate.

    Parameters without a gradient stay as they are. A parameter group's `lr` is a factor of the updates, 1 by default,
    which is how the optimizer was trained.

    Args:
        parameters: Parameters or parameter groups, all on one device.
        exported: The trained optimizer.
        lr: Factor of the updates, above 0.

    Raises:
        ConfigError: The parameters are on several devices or are not real numbers, or `lr` is out of range.
    """

    def __init__(self, parameters: Iterable[Any], exported: ExportedOptimizer, *, lr: float = 1.0) -> None:
        check_number("the learned optimizer", "lr", lr, 0.0, LARGEST_RATE, above=True)
        super().__init__(parameters, {"lr": lr})
        everything = [p for group in self.param_groups for p in group["params"]]
        devices = {p.device for p in everything}
        if len(devices) > 1:
            raise ConfigError(
                f"the parameters are on {', '.join(sorted(map(str, devices)))}; a learned optimizer takes those of one "
                "device: make one for each"
            )
        if not all(p.is_floating_point() for p in everything):
            raise ConfigError("a learned optimizer takes real parameters; leave complex and whole-number ones out")
        self._network = FusedLstm(exported.spec, {n: w.to(everything[0].device) for n, w in exported.weights.items()})
        self._joined: _Joined | None = None

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of the parameters that have gradients.

        Raises:
            ConfigError: A gradient is sparse, or no parameter has one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = [(p, group["lr"]) for group in self.param_groups for p in group["params"] if p.grad is not None]
        owners = [p for p, _ in groups]
        _check(owners)
        joined = self._state_of(owners)
        gradient = torch.cat([p.grad.reshape(-1) for p in owners if p.grad is not None]).to(joined.cell.dtype)
        updates = self._network.step_(gradient, joined.signals, joined.cell)
        parts = updates.split([p.numel() for p in owners])
        for (p, lr), part in zip(groups, parts, strict=True):
            p.add_(part.view_as(p), alpha=lr)
        return loss

    def _state_of(self, owners: list[Tensor]) -> _Joined:
        """The state of the parameters, joined anew where others have gradients than before, or it was loaded."""
        known = self._joined
        if known is not None and len(known.owners) == len(owners):
            pairs = zip(owners, known.owners, known.cells, strict=True)
            if all(p is owner and self.state[p].get(CELL) is cell for p, owner, cell in pairs):
                return known
        sizes = [p.numel() for p in owners]
        signals, cell = self._network.start(sum(sizes))
        for p, own_signals, own_cell in zip(
            owners, signals[INPUTS:].split(sizes, dim=-1), cell.split(sizes, dim=-1), strict=True
        ):
            if self.state[p]:
                own_signals.copy_(self.state[p][HIDDEN])
                own_cell.copy_(self.state[p][CELL])
            self.state[p].update({HIDDEN: own_signals, CELL: own_cell})
        self._joined = _Joined(owners, [self.state[p][CELL] for p in owners], signals, cell)
        return self._joined


def _check(owners: list[Tensor]) -> None:
    if not owners:
        raise ConfigError("no parameter has a gradient; call loss.backward() before the optimizer's step")
    for p in owners:
        if p.grad is not None and p.grad.layout != torch.strided:
            raise ConfigError(
                f"a parameter of shape {tuple(p.shape)} has a sparse gradient; a learned optimizer takes dense ones: "
                "make its layer with sparse=False, or give the parameter to torch.optim.SparseAdam"
            )


@dataclass(frozen=True)
class Learned:
    """A trained optimizer of a folder (nas train-optimizer).

    Attributes:
        folder: The folder, with optimizer.json and weights.safetensors.
        lr: Factor of the updates, above 0.
    """

    folder: Path | None = None
    lr: float = 1.0
    name = "learned"

    def __post_init__(self) -> None:
        check_number("learned", "lr", self.lr, 0.0, LARGEST_RATE, above=True)

    @cached_property
    def exported(self) -> ExportedOptimizer:
        """What the folder holds, read once.

        Raises:
            ConfigError: The option `folder` is not set.
            DataError: The folder cannot be used.
        """
        if self.folder is None:
            raise ConfigError("learned: folder is not set; give a folder that nas train-optimizer wrote")
        return read(self.folder)

    def check(self) -> None:
        """Raises what `exported` raises."""
        _ = self.exported

    def describe(self) -> dict[str, Any]:
        """Name, factor, and a digest of the weights, as JSON values. Raises what `exported` raises."""
        return {"name": self.name, "lr": self.lr, **self.exported.describe()}

    def __call__(self, parameters: Iterable[nn.Parameter]) -> LearnedOptimizer:
        """An optimizer of a module's parameters. Raises what `exported` raises."""
        return LearnedOptimizer(parameters, self.exported, lr=self.lr)
