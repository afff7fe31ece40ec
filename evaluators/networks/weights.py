"""Safetensors files with the weights of a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import DataError
from nas.failures import OwnFileError
from nas.protocols import LEARNER
from nas.regular_files import GIB, open_regular

MOST_BYTES = 16 * GIB
"""Maximum size of a file of weights."""


def attach(network: nn.Module, extra: Mapping[str, Tensor]) -> nn.Module:
    """Registers the learner's own meta-learned parameters in the network, in place, and returns the network.

    `forward` does not use them. The outer loop, the weights file and moves to a device then treat all meta-learned
    parameters alike.
    """
    device = next(network.parameters()).device
    for name, value in extra.items():
        network.register_parameter(LEARNER + name, nn.Parameter(value.to(device)))
    return network


def write_weights(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Writes the parameters to a file, as `write_tensors` does."""
    write_tensors(dict(network.named_parameters()), path, label)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, label: Mapping[str, str]) -> None:
    """Writes tensors by name as a safetensors file, atomically, with `label` as its metadata.

    Raises:
        OwnFileError: The file cannot be written, for example as the disk is full.
    """
    try:
        _write(tensors, path, label)
    except OSError as error:
        raise OwnFileError(error.errno, error.strerror, str(path)) from error


def _write(tensors: Mapping[str, Tensor], path: Path, label: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, unfinished, dict(label))
        unfinished.replace(path)
    except SafetensorError as error:  # It gives the number of the system's error in its text only.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def read_tensors(path: Path, label: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Raises:
        DataError: The file is damaged or missing, or has another label.
    """
    open_regular(path, MOST_BYTES).close()  # safetensors says of a file without the right to read that it is missing
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a weights file that can be read ({error}); delete it to train again") from error
    if metadata != dict(label):
        raise DataError(f"{path} holds weights of {metadata}, not of {dict(label)}; delete it to train again")
    return tensors


def read_weights(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Copies the weights of a file into the network, and attaches the learner's own meta-learned parameters.

    Raises:
        DataError: The file is damaged, has another label, or holds weights of other shapes.
    """
    weights = read_tensors(path, label)
    extra = {n.removeprefix(LEARNER): weights.pop(n) for n in list(weights) if n.startswith(LEARNER)}
    parameters = {n: p for n, p in network.named_parameters() if not n.startswith(LEARNER)}
    if {n: p.shape for n, p in parameters.items()} != {n: w.shape for n, w in weights.items()}:
        raise DataError(f"{path} holds other weights than this network has; delete it to train again")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    attach(network, extra)


def write_state(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Writes all parameters and buffers to a file, as `write_tensors` does."""
    write_tensors(network.state_dict(), path, label)


def read_state(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Copies the parameters and buffers of a file into the network.

    Raises:
        DataError: The file is damaged, has another label, or holds tensors of other shapes.
    """
    state, own = read_tensors(path, label), network.state_dict()
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in state.items()}:
        raise DataError(f"{path} holds other weights than this network has; delete it to train again")
    network.load_state_dict(state)
