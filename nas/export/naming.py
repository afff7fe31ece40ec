"""Names of layers, parameters and functions in the exported source."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Collection, Iterable

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import NasError
from ..protocols.learners import LEARNER

NAMESPACES = (
    ("F", F),
    ("torch", torch),
    ("torch.linalg", torch.linalg),
    ("torch.fft", torch.fft),
    ("torch.special", torch.special),
)
RESERVED = frozenset({"self", "torch", "nn", "F", "float", "slice"}) | frozenset(keyword.kwlist)


def flat_name(path: str) -> str:
    """The attribute of the exported `Network` for the layer or tensor at a dotted path.

    >>> flat_name("cells.0.node2.conv"), flat_name("0")
    ('cells_0_node2_conv', 'layer_0')

    Always an identifier, and never one that `torch.nn.Module` uses itself. Weights of a layer keep their own last
    name: `cells.0.conv.weight` is `cells_0_conv.weight` in the file. Two paths may have the same name, which
    `flat_names` refuses.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", path)
    taken = name in RESERVED or name == "training" or hasattr(nn.Module, name)
    return f"layer_{name}" if taken or not re.match(r"[A-Za-z]", name) else name


def flat_names(paths: Iterable[str]) -> dict[str, str]:
    """The flat name of each path. Raises NasError, with both paths, where two have the same one."""
    owners: dict[str, str] = {}
    for path in paths:
        name = flat_name(path)
        if owners.setdefault(name, path) != path:
            raise _clash(owners[name], path, name)
    return {path: name for name, path in owners.items()}


def named_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by dotted path, without the learner's; a shared one is under each of its paths."""
    tensors = {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }
    return {path: tensor for path, tensor in tensors.items() if not path.startswith(LEARNER)}


def tensor_names(network: nn.Module) -> dict[str, str]:
    """The dotted paths of a network's tensors by the names that a weights file may have for them: in a layer
    (`cells_0_conv.weight`), alone (`cells_0_scale`), or, where there is no source, the path itself.

    Raises:
        NasError: Two tensors, which the message names, have the same name.
    """
    paths: dict[str, str] = {}
    for path in named_tensors(network):
        layer, _, last = path.rpartition(".")
        for flat in dict.fromkeys([flat_name(path), f"{flat_name(layer)}.{last}", path]):
            if paths.setdefault(flat, path) != path:
                raise _clash(paths[flat], path, flat)
    return paths


def _clash(one: str, other: str, name: str) -> NasError:
    return NasError(
        f"{one!r} and {other!r} would both be called {name!r} in the exported source; "
        f"rename one of them in the space's build"
    )


def function_name(function: object) -> str | None:
    """How the source calls a torch function, such as 'F.relu' or 'torch.cat'; None for anything else."""
    if isinstance(function, torch._ops.OpOverload):
        return f"torch.ops.{function}" if function.namespace == "aten" else None
    for prefix, namespace in NAMESPACES:
        for name, value in vars(namespace).items():
            if value is function and not name.startswith("_"):
                return f"{prefix}.{name}"
    return None


def free_variable(preferred: str, live: Collection[str]) -> str:
    """A name for a local variable: the preferred one, with a number where it is among the `live` ones."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", preferred)
    if name in RESERVED or not re.match(r"[A-Za-z]", name):
        name = f"value_{name}"
    return next(
        unique for unique in itertools.chain([name], (f"{name}_{n}" for n in itertools.count(2))) if unique not in live
    )
