"""Protocol of optimizers, as a config chooses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Optimizer(Protocol):
    """Kind of optimizer with its options, which makes torch's optimizer of some parameters.

    It is a frozen value; its options are part of the protocol of scores. All state of an optimizer that it makes is in
    tensors by parameter (`state_dict()["state"]`), so that a training can be continued from a file. Where its parameter
    groups have a rate ('lr'), a schedule scales it.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer: ...
