"""Folder of an exported optimizer: optimizer.json and weights.safetensors. Nothing in it is executed or unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from nas.errors import ConfigError, DataError, nearest, shown
from nas.export.tensor_file import tensor_file
from nas.failures import attempt, reason
from nas.regular_files import read_bytes

from .lstm import LstmSpec, Weights

DESCRIPTION, WEIGHTS = "optimizer.json", "weights.safetensors"
FORMAT, VERSION = "adaptnas learned optimizer", 1
KEYS = ("format", "network", "trained", "version", "weights_sha256")
MOST_DESCRIPTION, MOST_WEIGHTS = 1 << 20, 1 << 29
"""Maximum bytes of the two files; the largest network that `LstmSpec` allows has fewer."""
AGAIN = "export the optimizer again with nas train-optimizer, or restore the folder from a copy"


@dataclass(frozen=True)
class ExportedOptimizer:
    """A learned optimizer as a folder holds it.

    Attributes:
        spec: Size of its network.
        weights: Weights by name, float32 on the CPU.
        trained: How it was trained, as JSON; for people.
    """

    spec: LstmSpec
    weights: Weights
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights' file and the network's description, by which protocols tell optimizers apart."""
        described = json.dumps(asdict(self.spec), sort_keys=True).encode()
        return hashlib.sha256(described + tensor_file(self.weights)).hexdigest()

    def describe(self) -> dict[str, Any]:
        """What a protocol holds of it."""
        return {"network": asdict(self.spec), "sha256": self.digest}

    def contents(self) -> dict[str, bytes]:
        """The files of a folder by name."""
        weights = tensor_file({name: weight.detach().cpu().contiguous() for name, weight in self.weights.items()})
        description = {
            "format": FORMAT,
            "version": VERSION,
            "network": asdict(self.spec),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "trained": dict(self.trained),
        }
        text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return {DESCRIPTION: text.encode(), WEIGHTS: weights}


def read(folder: Path) -> ExportedOptimizer:
    """The optimizer of a folder.

    Raises:
        DataError: The folder or a file is missing, damaged, changed or of another version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of a learned optimizer; give the one that nas train-optimizer wrote")
    description = _description(folder / DESCRIPTION)
    spec = _spec(folder / DESCRIPTION, description["network"])
    return ExportedOptimizer(spec, _weights(folder / WEIGHTS, spec, description), description["trained"])


def _description(path: Path) -> dict[str, Any]:
    parsed = attempt(json.loads, read_bytes(path, MOST_DESCRIPTION))
    if parsed.error is not None or not isinstance(parsed.value, dict):
        raise DataError(f"{path} is damaged: it is no JSON object; {AGAIN}")
    description: dict[str, Any] = parsed.value
    if description.get("format") != FORMAT:
        raise DataError(f"{path} is no learned optimizer: its format is {shown(description.get('format'))}; {AGAIN}")
    if description.get("version") != VERSION or isinstance(description["version"], bool):
        raise DataError(
            f"{path} has version {shown(description.get('version'))}; this adaptnas reads version {VERSION}: use the "
            "adaptnas that wrote it, or train the optimizer again"
        )
    for key in description:
        if key not in KEYS:
            raise DataError(f"{path} has an unknown key {shown(key)}: {nearest(key, KEYS)}; {AGAIN}")
    for key, kind in (("network", dict), ("trained", dict), ("weights_sha256", str)):
        if not isinstance(description.get(key), kind):
            raise DataError(f"{path} has {key} = {shown(description.get(key))}, which cannot be used; {AGAIN}")
    return description


def _spec(path: Path, network: Mapping[str, Any]) -> LstmSpec:
    known = {each.name: type(each.default) for each in fields(LstmSpec)}
    for key in network:
        if key not in known:
            raise DataError(f"{path} has an unknown key network.{key}: {nearest(key, known)}; {AGAIN}")
    for key, kind in known.items():
        allowed = (int, float) if kind is float else (kind,)
        if type(network.get(key)) not in allowed:
            raise DataError(f"{path} has network.{key} = {shown(network.get(key))}, which cannot be used; {AGAIN}")
    try:
        return LstmSpec(**network)
    except ConfigError as error:
        raise DataError(f"{path} cannot be used: {error}; {AGAIN}") from None


def _weights(path: Path, spec: LstmSpec, description: Mapping[str, Any]) -> dict[str, Tensor]:
    content = read_bytes(path, MOST_WEIGHTS)
    if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
        raise DataError(
            f"{path} has changed since it was written: its SHA-256 is not the one in {DESCRIPTION}; {AGAIN}"
        )
    read_tensors = attempt(load, content)
    if read_tensors.error is not None:
        raise DataError(f"{path} is damaged: {reason(read_tensors.error)}; {AGAIN}")
    weights: dict[str, Tensor] = read_tensors.value
    shapes = spec.shapes()
    if {name: tuple(weight.shape) for name, weight in weights.items()} != shapes:
        raise DataError(f"{path} does not fit the network of {DESCRIPTION}: names or shapes differ; {AGAIN}")
    if any(weight.dtype != torch.float32 or not weight.isfinite().all() for weight in weights.values()):
        raise DataError(f"{path} has weights that are not finite numbers of 32 bits; {AGAIN}")
    return {name: weights[name] for name in shapes}
