"""The law of spaces that draw graphs, to run on your own as those of `nas.testing`: equal graphs are equal networks."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from ..architecture import Architecture
from ..errors import Rejected
from ..protocols import GraphSpace, SearchSpace
from ..space.identity import network_key
from ..space.sampling import mutate, replay, sample
from ..task import TaskShape

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUTS = 16
"""So many that a small network with random weights hardly has a part that none of them gets through."""


def check_networks(space: SearchSpace, task: TaskShape, *, samples: int = 300, builds: int = 20, seed: int = 0) -> None:
    """Mutates `samples` random architectures, and builds up to `builds` pairs that `network_key` holds for one network.

    Both of a pair must have weights of the same shapes where a gradient comes by, and the same outputs once all values
    of a weight are the same: a search would evaluate only one of them. Nothing is built where a space draws no graph.
    Raises AssertionError with the choices that the graph forgets.
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
            # One pair for each choice: most are of dead parts, and what the graph forgets must not hide among them.
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
    """How the networks of two architectures differ; '' where they are one network."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = torch.randn(INPUTS, *task.input_shape, dtype=torch.float64)
        networks = []
        for architecture in (one, other):
            torch.manual_seed(seed)  # the same network then has the same weights, and the same dead by chance
            networks.append(space.build(replay(space, architecture), task).double())
        shapes = [_trained(network, inputs) for network in networks]
        first, second = (_of_equal_weights(network, inputs) for network in networks)
    if shapes[0] != shapes[1]:
        before, after = (list((Counter(a) - Counter(b)).elements()) for a, b in (shapes, shapes[::-1]))
        return f"its weights of the shapes {before} become {after}"
    if not torch.allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True):
        return "its outputs are others, of weights and inputs that are the same"
    return ""


def _trained(network: nn.Module, inputs: Tensor) -> list[tuple[int, ...]]:
    """The shapes of the parameters that a gradient reaches."""
    import torch

    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(network(inputs).square().sum(), parameters, allow_unused=True)
    sizes = [0.0 if gradient is None else float(gradient.abs().max()) for gradient in gradients]
    # Not just above zero: what is multiplied by zero, as some write 'none', is dead, and so is a bias before a
    # normalisation, but for the rounding.
    least = 1e-9 * max(sizes, default=0.0)
    return sorted(tuple(p.shape) for p, size in zip(parameters, sizes, strict=True) if size > least)


def _of_equal_weights(network: nn.Module, inputs: Tensor) -> Tensor:
    """The outputs when each parameter is filled with one number: so channels may be joined in any order."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5 / parameter.ndim if parameter.ndim else 0.5)
        outputs: Tensor = network(inputs)
    return outputs
