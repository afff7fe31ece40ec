"""A candidate as a network: built for a task with seeded initial weights, its size, and its weights in a file."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from nas.architecture import Architecture
from nas.errors import SpaceError, UncountedError
from nas.networks.size import check_size, named_if_too_large
from nas.protocols import Learner, SearchSpace
from nas.space import replay
from nas.task import TaskShape

from .compatibility import check_forward
from .flops import count
from .normalisation import Norm, normalise_head_input, set_normalisation
from .output_layer import mark_head


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
