"""A candidate as a network: built for a task with seeded initial weights, its size, and its weights in a file."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.errors import DataError, SpaceError, UncountedError
from nas.protocols import LEARNER, Learner, SearchSpace, TaskShape
from nas.sizes import check_size, named_if_too_large
from nas.space import replay

from .flops import count
from .normalisation import Norm, normalise_head_input, sees_batch, set_normalisation
from .output_layer import mark_head
from .refusals import check_forward

WARM_UP, PASSES = 3, 30
"""Forward passes before those that are timed, and those that are."""


def build(
    space: SearchSpace,
    architecture: Architecture,
    shape: TaskShape,
    *,
    norm: Norm,
    head_norm: bool,
    learner: Learner,
    seed: int,
) -> nn.Module:
    """The network of an architecture, on the CPU, with initial weights from `seed`.

    Raises SpaceError where it does not turn (examples, *input_shape) into (examples, num_outputs), the learner cannot
    treat it, or it is too large for the memory of this machine.
    """
    make = partial(assemble, space, architecture, shape, norm=norm, head_norm=head_norm)
    # torch's layers draw their weights from the global generator
    with torch.random.fork_rng(devices=[]), named_if_too_large(space, architecture):
        check_size(space, architecture, make)
        torch.default_generator.manual_seed(seed)
        network = make()
        x = torch.rand(2, *shape.input_shape)
        if not any(p.requires_grad for p in network.parameters()):
            raise SpaceError(f"the network of {architecture.key} in space {space.name!r} has no parameters to learn")
        check_forward(network, x, shape.num_outputs, space.name)
        learner.check(network, x)
    return network


def assemble(
    space: SearchSpace, architecture: Architecture, shape: TaskShape, *, norm: Norm, head_norm: bool
) -> nn.Module:
    """What `build` checks, unchecked: on torch's default device, with weights from the global generator."""
    network = space.build(replay(space, architecture), shape)
    if not isinstance(network, nn.Module):
        raise SpaceError(
            f"build of space {space.name!r} gave a {type(network).__name__}; it must give a torch.nn.Module"
        )
    inputs = torch.linspace(0, 1, 2 * math.prod(shape.input_shape)).reshape(2, *shape.input_shape)  # nothing is drawn
    network = mark_head(set_normalisation(network, norm), inputs)
    return normalise_head_input(network) if head_norm else network


def attach(network: nn.Module, extra: Mapping[str, Tensor]) -> nn.Module:
    """The network with what its learner meta-learns besides as parameters of its own that `forward` does not use.

    So the outer loop, the weights file and the device treat both alike.
    """
    device = next(network.parameters()).device
    for name, value in extra.items():
        network.register_parameter(LEARNER + name, nn.Parameter(value.to(device)))
    return network


def size(network: nn.Module, shape: TaskShape) -> dict[str, float]:
    """`parameters`, and `flops` of one input's forward pass (2 a multiply-add; convolutions and matrix products).

    Where operations may compute products that cannot be counted, `flops_uncounted` is their number: the network then
    takes at least `flops`.
    """
    inputs = 2  # statistics of a batch of one are refused
    flops = count(network, torch.zeros(inputs, *shape.input_shape))
    found = {"parameters": float(num_parameters(network)), "flops": flops.counted / inputs}
    return found | ({"flops_uncounted": float(len(flops.uncounted))} if flops.uncounted else {})


def flops_of(network: nn.Module, shape: TaskShape) -> float:
    """The FLOPs of one input's forward pass, as `size` gives them.

    Raises UncountedError where some operations cannot be counted.
    """
    flops = count(network, torch.zeros(2, *shape.input_shape))
    if flops.uncounted:
        raise UncountedError(
            f"the network takes at least {flops.counted / 2:,.0f} FLOPs: those of {', '.join(flops.uncounted)} cannot "
            f"be counted; use another operation, or leave FLOPs out of what is asked of the search",
            flops.counted / 2,
        )
    return flops.counted / 2


def num_parameters(network: nn.Module) -> int:
    """Learned numbers of the network itself, not of its learner."""
    return sum(p.numel() for name, p in network.named_parameters() if _counts(name, p))


def latency_ms(network: nn.Module, shape: TaskShape, device: torch.device) -> float:
    """Milliseconds of one input's forward pass on a device (two inputs', where a network needs a batch), on one thread
    where that is the CPU: the least of many passes, which is what others on the machine disturb least."""
    network = network.to(device)
    inputs = 2 if sees_batch(network) else 1
    x = torch.rand(inputs, *shape.input_shape, device=device, generator=torch.Generator(device).manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            passes = [_timed(network, x) for _ in range(WARM_UP + PASSES)]
    finally:
        torch.set_num_threads(before)
    return 1000 * min(passes[WARM_UP:])


def _timed(network: nn.Module, x: Tensor) -> float:
    started = time.perf_counter()
    network(x)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - started


def _counts(name: str, parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and not name.startswith(LEARNER)


def write_weights(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Writes the parameters to a file, as `write_tensors` does."""
    write_tensors(dict(network.named_parameters()), path, label)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, label: Mapping[str, str]) -> None:
    """Writes tensors by name as safetensors, whole or not at all, with `label` as its metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, unfinished, dict(label))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_tensors(path: Path, label: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. Raises DataError for a damaged or missing file or one with another label."""
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a weights file that can be read ({error}); delete it to train again") from error
    if found != dict(label):
        raise DataError(f"{path} holds weights of {found}, not of {dict(label)}; delete it to train again")
    return tensors


def read_weights(network: nn.Module, path: Path, label: Mapping[str, str]) -> None:
    """Puts the weights of a file into the network, and attaches what the learner meta-learned besides.

    Raises DataError for a damaged file or one with another label.
    """
    weights = read_tensors(path, label)
    extra = {n.removeprefix(LEARNER): weights.pop(n) for n in list(weights) if n.startswith(LEARNER)}
    own = {n: p for n, p in network.named_parameters() if not n.startswith(LEARNER)}
    if {n: p.shape for n, p in own.items()} != {n: w.shape for n, w in weights.items()}:
        raise DataError(f"{path} holds other weights than this network has; delete it to train again")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
    attach(network, extra)
