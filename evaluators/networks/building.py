"""Network of a candidate, built for a task with seeded initial weights."""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.errors import SpaceError, UncountedError
from nas.networks.size import check_size, named_if_too_large
from nas.protocols import SearchSpace
from nas.space import replay
from nas.task import TaskShape

from .compatibility import check_forward
from .flops import count
from .normalisation import Normalisation, normalise_head_input, set_normalisation
from .output_layer import mark_head


class NetworkCheck(Protocol):
    """What must be able to train a network, such as a learner."""

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Raises SpaceError where it cannot train the network, tried on inputs x (examples, *input_shape)."""
        ...


def build(
    space: SearchSpace,
    architecture: Architecture,
    shape: TaskShape,
    normalisation: Normalisation,
    *,
    learner: NetworkCheck,
    seed: int,
) -> nn.Module:
    """The network of an architecture, on the CPU.

    Args:
        space: Space of the architecture.
        architecture: Architecture to build.
        shape: Shape of the tasks.
        normalisation: Normalisation of the network.
        learner: Learner, or other training, that must be able to treat the network.
        seed: Seed of the initial weights.

    Raises:
        SpaceError: The network does not map (examples, *input_shape) to (examples, num_outputs), the learner cannot
            adapt it, or it is too large for the memory of this machine.
    """
    make = partial(assemble, space, architecture, shape, normalisation)
    # torch's layers draw their weights from the global generator.
    with torch.random.fork_rng(devices=[]), named_if_too_large(space, architecture):
        check_size(space, architecture, make)
        torch.default_generator.manual_seed(seed)
        network = make()
        x = torch.rand(2, *shape.input_shape)
        if not any(p.requires_grad for p in network.parameters()):
            raise SpaceError(
                f"the network of {architecture.key} in space {space.name!r} has no parameters to learn; give it layers "
                "with weights"
            )
        check_forward(network, x, shape.num_outputs, space.name)
        learner.check(network, x)
    return network


def assemble(
    space: SearchSpace, architecture: Architecture, shape: TaskShape, normalisation: Normalisation
) -> nn.Module:
    """The network of an architecture, unchecked, on torch's default device, with weights from the global generator."""
    network = space.build(replay(space, architecture), shape)
    if not isinstance(network, nn.Module):
        raise SpaceError(
            f"build of space {space.name!r} gave a {type(network).__name__}; it must give a torch.nn.Module"
        )
    # These inputs take no random numbers from the global generator, which the weights depend on.
    inputs = torch.linspace(0, 1, 2 * math.prod(shape.input_shape)).reshape(2, *shape.input_shape)
    network = mark_head(set_normalisation(network, normalisation.norm), inputs)
    return normalise_head_input(network) if normalisation.head_norm else network


def flops_of(network: nn.Module, shape: TaskShape) -> float:
    """FLOPs of the forward pass of one input, as `size` gives them.

    Raises:
        UncountedError: Some operations cannot be counted.
    """
    flops = count(network, torch.zeros(2, *shape.input_shape))
    if flops.uncounted:
        raise UncountedError(
            f"the network takes at least {flops.counted / 2:,.0f} FLOPs: those of {', '.join(flops.uncounted)} cannot "
            f"be counted; use another operation, or leave FLOPs out of what is asked of the search",
            flops.counted / 2,
        )
    return flops.counted / 2
