"""Devices, and the settings that make results reproducible on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nas.errors import ConfigError
from nas.provenance import processor, versions


def device_of(name: str) -> torch.device:
    """The device of a name: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        ConfigError: The name is unknown, or there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is not known; use 'auto', 'cpu', 'cuda' or 'cuda:N'") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices found; use 'auto'")
    return device


def provenance(device: torch.device) -> dict[str, Any]:
    """The device by kind and name, and the versions of the packages that compute results, as JSON values."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {"device": {"kind": device.type, "name": name}, "versions": versions()}


@contextmanager
def reproducible(network: nn.Module, device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """Moves the network to the device, within a context that gives the same numbers for the same seed.

    Args:
        network: The network.
        device: The device.
        tf32: Whether a GPU multiplies with 10 bits of mantissa (sums keep those of float32). A CPU ignores it.
    """
    network.to(device)
    before = torch.get_float32_matmul_precision()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
