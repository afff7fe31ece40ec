"""Where candidates are computed, and what makes them come out the same twice there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from nas.errors import ConfigError


def device_of(name: str) -> torch.device:
    """The device of a name; 'auto' is a GPU where there is one. Raises ConfigError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is not known; use 'auto', 'cpu', 'cuda' or 'cuda:N'") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices found; use 'auto'")
    return device


@contextmanager
def reproducible(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Moves the network to the device, with settings there that give the same numbers for the same seed."""
    network.to(device)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
