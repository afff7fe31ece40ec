"""Score of a trained network: which examples of a bank it classifies correctly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import NasError
from nas.protocols import Labelled, TaskFamily
from nas.task import Bank

from .loop import laid_out

EXAMPLES_AT_ONCE = 1000


class LabelledTasks(TaskFamily, Labelled, Protocol):
    """Task family that is one data set."""


def correct(network: nn.Module, family: LabelledTasks, bank: Bank, device: torch.device) -> Sequence[float]:
    """1.0 for each example of a bank that the network classifies correctly, else 0.0, in the order of the bank.

    Raises:
        ConfigError: The split has fewer examples.
        NasError: An output is not finite.
    """
    x, y = _of_bank(family, bank, device)
    network.eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(x), EXAMPLES_AT_ONCE):
            chunk = slice(start, start + EXAMPLES_AT_ONCE)
            outputs = network(laid_out(family.inputs(x[chunk])))
            if not bool(outputs.isfinite().all()):
                raise NasError("training diverged: an output is not finite; lower the rate of the optimizer")
            parts.append(outputs.argmax(dim=1) == y[chunk])
    values: list[float] = torch.cat(parts).double().tolist()
    return values


@lru_cache(maxsize=8)
def bank_digest(family: LabelledTasks, bank: Bank) -> str:
    """Digest of the examples and labels of a bank, 16 hexadecimal digits; once in a process for equal families."""
    x, y = _of_bank(family, bank, torch.device("cpu"))
    sha = hashlib.sha256(f"{x.dtype} {tuple(x.shape)}".encode())
    sha.update(np.ascontiguousarray(x.numpy()).data)
    sha.update(y.numpy().tobytes())
    return sha.hexdigest()[:16]


def _of_bank(family: LabelledTasks, bank: Bank, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = torch.tensor(family.rows(bank.split, bank.indices), dtype=torch.int64, device=device)
    x, y = family.examples(bank.split, device)
    return x[rows], y[rows]
