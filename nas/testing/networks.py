"""Law of search spaces that draw graphs: architectures of equal graphs have equal networks."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from ..architecture import Architecture
from ..errors import Rejected
from ..protocols.spaces import GraphSpace, SearchSpace
from ..space.identity import network_key
from ..space.sampling import mutate, replay, sample
from ..task import TaskShape

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUTS = 16
"""Examples in the test batch: enough that nearly every live part of a small random network responds to one of them."""


def check_networks(space: SearchSpace, task: TaskShape, *, samples: int = 300, builds: int = 20, seed: int = 0) -> None:
    """Checks that architectures with the same `nas.space.identity.network_key` have the same network.

    A search evaluates only one of them. Random architectures are mutated; where the mutant has the same key, both
    networks are built. Their parameters that a gradient reaches must have the same shapes, and their outputs must be
    the same when every parameter is filled with one number. A space without a graph passes.

    Args:
        space: The search space.
        task: Shape of the task that the networks are built for.
        samples: Architectures that are mutated.
        builds: Largest number of pairs that are built.
        seed: Seed of the architectures, the inputs and the weights.

    Raises:
        AssertionError: Two networks differ; the message names the choices that the graph does not show.
    """
    rng = random.Random(seed)
    pairs: dict[tuple[str, ...], tuple[Architecture, Architecture]] = {}
    for _ in range(samples if isinstance(space, GraphSpace) else 0):
        one = sample(space, rng)
        try:
            other = mutate(space, one, rng)
        except Rejected:
            continue
        if network_key(space, one) == network_key(space, other):
            # One pair for each set of changed choices. Most mutations with the same key change a dead part, and would
            # otherwise crowd out the few that change a choice which the graph does not show.
            changed = sorted(name for name in one.picks.keys() & other.picks if one.picks[name] != other.picks[name])
            pairs.setdefault(tuple(changed), (one, other))
    chosen = rng.sample(sorted(pairs), min(builds, len(pairs)))
    for names, (one, other) in ((names, pairs[names]) for names in chosen):
        difference = _difference(space, one, other, task, seed)
        if difference:
            raise AssertionError(
                f"the graph does not change with {' and '.join(map(repr, names))}, but the network does: "
                f"{difference}; tell them apart in `graph`, if need be by an attribute of the whole, "
                f"nx.DiGraph(width=16). Seen at {dict(one.picks)}"
            )


def _difference(space: SearchSpace, one: Architecture, other: Architecture, task: TaskShape, seed: int) -> str:
    """How the networks of two architectures differ; '' if they do not."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = torch.randn(INPUTS, *task.input_shape, dtype=torch.float64)
        networks = []
        for architecture in (one, other):
            torch.manual_seed(seed)  # Equal networks then have equal weights and equal dead units.
            networks.append(space.build(replay(space, architecture), task).double())
        shapes = [_trained_shapes(network, inputs) for network in networks]
        first, second = (_outputs_of_filled(network, inputs) for network in networks)
    if shapes[0] != shapes[1]:
        before, after = (list((Counter(a) - Counter(b)).elements()) for a, b in (shapes, shapes[::-1]))
        return f"its weights of the shapes {before} become {after}"
    if not torch.allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True):
        return "its outputs differ for the same weights and inputs"
    return ""


def _trained_shapes(network: nn.Module, inputs: Tensor) -> list[tuple[int, ...]]:
    """The shapes of the parameters that a gradient reaches."""
    import torch

    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(network(inputs).square().sum(), parameters, allow_unused=True)
    sizes = [0.0 if gradient is None else float(gradient.abs().max()) for gradient in gradients]
    # A gradient of rounding errors does not count: a part that is multiplied by zero (as some spaces write 'none') and
    # a bias before a normalisation are dead, but their gradients need not be exactly zero.
    least = 1e-9 * max(sizes, default=0.0)
    return sorted(tuple(p.shape) for p, size in zip(parameters, sizes, strict=True) if size > least)


def _outputs_of_filled(network: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs when each parameter is filled with one number, so that the order in which channels are joined does not
    matter."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5 / parameter.ndim if parameter.ndim else 0.5)
        outputs: Tensor = network(inputs)
    return outputs
