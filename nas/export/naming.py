"""Names of layers, parameters and functions in the exported source."""

from __future__ import annotations

import itertools
import keyword
import re
from collections import Counter
from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..errors import NasError
from ..protocols.learners import LEARNER

NAMESPACES = (
    ("F", F),
    ("torch", torch),
    ("torch.linalg", torch.linalg),
    ("torch.fft", torch.fft),
    ("torch.special", torch.special),
)
SILENT = frozenset({"operations", "ops"})
"""Parts of paths that say nothing about what a layer is."""
RESERVED = frozenset({"self", "torch", "nn", "F", "float", "slice"}) | frozenset(keyword.kwlist)


def flat_name(path: str) -> str:
    """The attribute of the exported `Network` for the layer or tensor at a dotted path.

    >>> flat_name("cells.0.node2.conv"), flat_name("0")
    ('cells_0_node2_conv', 'layer_0')

    Always an identifier, and never one that `torch.nn.Module` uses itself. Weights of a layer keep their own last
    name: `cells.0.conv.weight` is `cells_0_conv.weight` in the file. Two paths may have the same name, which
    `export_names` refuses.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", path)
    taken = name in RESERVED or name == "training" or hasattr(nn.Module, name)
    return f"layer_{name}" if taken or not re.match(r"[A-Za-z]", name) else name


def export_names(network: nn.Module, paths: Sequence[str], head: str | None) -> dict[str, str]:
    """The name in the exported `Network` of each layer and tensor, by its path.

    A layer of a list is named after its operation: `cells.0.operations.edge0_2.0` is `cells_0_edge0_2_conv3x3`. The
    layer at `head`, which gives the output, is `head`. Where two would have one name, they have their flat names, with
    numbers in place of operations.

    Args:
        network: The network.
        paths: Paths of layers, and of tensors that are used by themselves.
        head: Path of the layer that gives the output, if there is one.

    Raises:
        NasError: Two paths have the same flat name; the message has both.
    """
    readable = {path: "head" if path == head else _readable(network, path) for path in paths}
    counts = Counter([*readable.values(), *map(flat_name, paths)])
    flat = {path: flat_name(path) for path in paths}
    names: dict[str, str] = {}
    for path in paths:
        # A readable name counts once, and once more where it is its own flat name.
        alone = counts[readable[path]] == (2 if readable[path] == flat[path] else 1)
        name = readable[path] if alone else flat[path]
        other = next((each for each, taken in names.items() if taken == name), None)
        if other is not None:
            raise _clash(other, path, name)
        names[path] = name
    return names


def _readable(network: nn.Module, path: str) -> str:
    """A name of the parts of a path, without those that say nothing, and with the operation in place of a number."""
    *outer, last = path.split(".")
    owner = ".".join(outer)
    module = dict(network.named_modules(remove_duplicate=False)).get(path)
    if module is None:
        return flat_name(path)
    operation = operation_word(module)
    parts = [part for part in outer if part not in SILENT]
    if not last.isdecimal():
        parts.append(last)
    if last.isdecimal() or (last[-1].isdecimal() and operation not in last):
        siblings = [child for child in network.get_submodule(owner).children() if operation_word(child) == operation]
        place = "" if len(siblings) < 2 or not last.isdecimal() else f"_{siblings.index(module) + 1}"
        parts.append(operation + place)
    return flat_name(".".join(parts))


def operation_word(module: nn.Module) -> str:
    """A word for what a layer does, such as 'conv3x3', 'depthwise5x5', 'norm', 'max_pool' or 'relu'."""
    name = type(module).__name__
    if isinstance(module, _ConvNd):
        kind = "depthwise" if module.groups == module.in_channels > 1 else "conv"
        dilated = "dilated_" if set(module.dilation) != {1} else ""
        return f"{dilated}{kind}{'x'.join(map(str, module.kernel_size))}"
    if name.endswith(("Norm", "Norm1d", "Norm2d", "Norm3d")):
        return "norm"
    if name.endswith("LU"):
        return name.lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"[1-3]d$", "", name)).lower()


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
