"""Reading of export folders.

Neither model.py is imported, nor model.pt2 loaded, which torch unpickles: weights are read as safetensors only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..architecture import Architecture
from ..errors import DataError, NasError
from ..protocols.learners import LEARNER
from ..regular_files import GIB, open_regular, read_json
from ..task import TaskShape
from .naming import named_tensors, tensor_names
from .writing import ARCHITECTURE, FORMAT, LEARNED, NETWORK, PATHS, WEIGHTS

if TYPE_CHECKING:
    from .graph_network import GraphNetwork

MOST_JSON_BYTES = 1 << 24
"""Maximum size of a JSON file."""
MOST_TENSOR_BYTES = 16 * GIB
"""Maximum size of a file of tensors."""
REMEDY = "export the network again, or restore the folder from a copy"


@dataclass(frozen=True)
class Exported:
    """Content of an export folder.

    Attributes:
        architecture: The architecture.
        shape: Inputs and outputs of the tasks.
        recipe: Information for adapting the network, as `export` was given it.
        weights: The file of the network's weights, which `restore` reads.
        learner: The file of the learner's own meta-learned parameters; None where it has none.
    """

    architecture: Architecture
    shape: TaskShape
    recipe: Mapping[str, Any]
    weights: Path
    learner: Path | None = None


def load(folder: Path) -> Exported:
    """Reads an export folder, except for the tensors.

    Raises:
        DataError: A file is missing or damaged, or the weights are not the tensors that `architecture.json` lists; the
            message names file and entry.
    """
    folder = Path(folder)
    path, weights = folder / ARCHITECTURE, folder / WEIGHTS
    for file in (path, weights):
        if not file.is_file():
            raise DataError(f"{file} is missing; {folder} must be a folder written by `nas export`")
    content = _json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is not of format {FORMAT}, the one this version reads; {REMEDY}")
    try:
        architecture = Architecture.from_json(content.get("architecture"))
    except NasError as error:
        raise DataError(f"{path}: {error}; {REMEDY}") from error
    if content.get("key") != architecture.key:
        raise DataError(
            f"{path}: the key {content.get('key')!r} is not the architecture's, {architecture.key}; {REMEDY}"
        )
    recipe = content.get("recipe")
    if not isinstance(recipe, dict):
        raise DataError(f"{path}: 'recipe' must be an object; {REMEDY}")
    _check_tensors(weights, path, "weights", content.get("weights"))
    learner = folder / LEARNED if "learner" in content else None
    if learner is not None:
        _check_tensors(learner, path, "learner", content["learner"])
    return Exported(architecture, _shape(path, content.get("task")), MappingProxyType(recipe), weights, learner)


def network_of(folder: Path, exported: Exported) -> GraphNetwork | None:
    """The network of an export with its weights, built from network.json; None where there is no such file.

    Raises:
        DataError: The file is damaged, or is not of these weights; the message says which entry is at fault.
    """
    from .graph_network import build

    path = folder / NETWORK
    if not path.is_file():
        return None
    try:
        return build(_json(path), tensors_of(exported.weights))
    except DataError as error:
        raise DataError(f"{path}: {error}; {REMEDY}") from error


def meta_learned(network: torch.nn.Module, exported: Exported) -> dict[str, torch.Tensor]:
    """The meta-learned parameters of an export, as `nas.protocols.Learner` takes them: the network's and the learner's.

    All exported tensors are copied into the network, since a learner reads those that are not learned there.

    Raises:
        DataError: As for `restore`.
    """
    tensors = named_tensors(network)
    with torch.no_grad():
        for name, tensor in restore(network, exported.weights).items():
            tensors[name].copy_(tensor)
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    learner = {} if exported.learner is None else tensors_of(exported.learner)
    return {**parameters, **{LEARNER + name: tensor for name, tensor in learner.items()}}


def restore(network: torch.nn.Module, weights: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by their paths in a network, which is not changed.

    Layers that the network never calls are not in an export, and so not in the result; `load` checks that nothing else
    is missing.

    Raises:
        DataError: The file is damaged, or the network lacks a tensor of it, which the message names, or has it with
            another shape.
    """
    tensors = named_tensors(network)
    paths = _paths(weights) or tensor_names(network)
    restored = {}
    for flat, tensor in tensors_of(weights).items():
        if paths.get(flat) not in tensors:
            raise DataError(f"{weights} holds {flat!r}, which the network does not have; are they of one architecture?")
        path = paths[flat]
        expected = tensors[path]
        if expected.shape != tensor.shape or expected.dtype != tensor.dtype:
            raise DataError(
                f"{weights}: {flat!r} is {tensor.dtype} of shape {tuple(tensor.shape)}, but the network's is "
                f"{expected.dtype} of shape {tuple(expected.shape)}; are they of one architecture?"
            )
        restored[path] = tensor
    return restored


def _paths(weights: Path) -> dict[str, str]:
    """The path of each tensor in the network, as the file says; empty for files of earlier versions."""
    try:
        with safe_open(weights, framework="pt") as file:
            paths = json.loads((file.metadata() or {}).get(PATHS, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{weights} cannot be read as safetensors: {error}; {REMEDY}") from error
    return {str(name): str(path) for name, path in paths.items()} if isinstance(paths, dict) else {}


def _json(path: Path) -> Any:
    try:
        return read_json(path, MOST_JSON_BYTES)
    except DataError as error:
        raise DataError(f"{error}; {REMEDY}") from None


def _check_tensor_file(file: Path) -> None:
    try:
        open_regular(file, MOST_TENSOR_BYTES).close()  # of one without the right to read safetensors says it is missing
    except DataError as error:
        raise DataError(f"{error}; {REMEDY}") from None


def tensors_of(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name. Raises DataError where it is damaged."""
    _check_tensor_file(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} cannot be read as safetensors: {error}; {REMEDY}") from error


def _shape(path: Path, task: object) -> TaskShape:
    if isinstance(task, dict):
        sizes, outputs, kind = task.get("input_shape"), task.get("num_outputs"), task.get("kind")
        sized = isinstance(sizes, list) and sizes and all(type(size) is int and size > 0 for size in [*sizes, outputs])
        if sized and kind in ("classification", "regression"):
            return TaskShape(input_shape=tuple(sizes or ()), num_outputs=outputs or 0, kind=kind)
    raise DataError(f"{path}: 'task' must hold input_shape, num_outputs and kind, not {task!r}; {REMEDY}")


def _check_tensors(weights: Path, path: Path, entry: str, listed: object) -> None:
    """Compares the header of a file of tensors with the shapes listed in `path`; the tensors are not read."""
    if not isinstance(listed, dict):
        raise DataError(f"{path}: {entry!r} must map the tensors' names to their shapes; {REMEDY}")
    _check_tensor_file(weights)
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, SafetensorError) as error:
        raise DataError(f"{weights} cannot be read as safetensors: {error}; {REMEDY}") from error
    for name in sorted(shapes.keys() | listed.keys()):
        if name not in shapes:
            raise DataError(f"{weights} lacks the tensor {name!r}; {REMEDY}")
        if name not in listed:
            raise DataError(f"{weights} holds an unknown tensor {name!r}; {REMEDY}")
        if shapes[name] != listed[name]:
            raise DataError(f"{weights}: {name!r} has shape {shapes[name]}, not {listed[name]}; {REMEDY}")
