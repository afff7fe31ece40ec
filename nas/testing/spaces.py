"""Laws of search spaces and of the networks that they build."""

from __future__ import annotations

import json
import random

from ..architecture import Architecture
from ..errors import Rejected
from ..protocols.spaces import SearchSpace
from ..space.sampling import crossover, mutate, num_options, replay, sample
from ..space.specs import same_spec
from ..task import TaskShape
from .toy_spaces import require


def check_space(
    space: SearchSpace,
    *,
    task: TaskShape | None = None,
    samples: int = 30,
    builds: int = 5,
    seed: int = 0,
    twice: bool = True,
) -> None:
    """Checks the laws of `nas.protocols.SearchSpace` on random architectures.

    * `decide` is a function of its choices alone, and its spec compares by value (tuples, lists, dataclasses).
    * Architectures can be mutated, crossed, and written to JSON.
    * A network starts from the same weights when built again with the same state of torch's generator.
    * A network maps `(examples, *input_shape)` to (examples, num_outputs) finite numbers, each example by itself,
      whatever its place in the batch, and a finite gradient reaches a parameter.

    Args:
        space: The search space.
        task: Shape of the task that networks are built for. None: none is built.
        samples: Random architectures that are decided, mutated and crossed.
        builds: Number of them whose networks are built.
        seed: Seed of the architectures, the inputs and the weights.
        twice: Whether networks must also be differentiable to second order, as learners like MAML need.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
        SpaceError: The space gives a choice options that it may not have.
    """
    rng = random.Random(seed)
    require(isinstance(space.name, str) and space.name != "", "a space's name must be a text that is not empty")
    drawn = [sample(space, rng) for _ in range(samples)]
    for architecture in drawn:
        _check_decides(space, architecture)
        _check_mutates(space, architecture, rng)
        _check_crosses(space, architecture, rng.choice(drawn), rng)
    if task is not None:
        for architecture in drawn[:builds]:
            _check_builds(space, architecture, task, seed, twice)


def _check_decides(space: SearchSpace, architecture: Architecture) -> None:
    spec = replay(space, architecture)
    again = replay(space, architecture)
    require(
        same_spec(spec, again),
        f"decide gave two specs for the same picks {dict(architecture.picks)}: {spec!r} and {again!r}; it may depend "
        "on nothing but its choices, and the spec must compare by value (tuples, lists, dataclasses)",
    )
    copy = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    require(copy == architecture and copy.key == architecture.key, f"{architecture} is not the same after JSON")


def _check_mutates(space: SearchSpace, architecture: Architecture, rng: random.Random) -> None:
    try:
        mutant = mutate(space, architecture, rng)
    except Rejected:
        return  # There is nothing to change, or every change is rejected.
    before, after = num_options(space, architecture), num_options(space, mutant)
    shared = [name for name, size in before.items() if after.get(name) == size]
    changed = [name for name in shared if architecture.picks[name] != mutant.picks[name]]
    require(
        len(changed) == 1,
        f"a mutation changed the choices {changed} of {dict(architecture.picks)}, not exactly one; "
        "does the same choice come with the same options whenever the choices before it are the same?",
    )


def _check_crosses(space: SearchSpace, first: Architecture, second: Architecture, rng: random.Random) -> None:
    try:
        child = crossover(space, first, second, rng)
    except Rejected:
        return
    replay(space, child)
    if first == second:
        require(child == first, f"the child of two equal parents {dict(first.picks)} is another: {dict(child.picks)}")


def _check_builds(space: SearchSpace, architecture: Architecture, task: TaskShape, seed: int, twice: bool) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from ..networks.batch_order import BATCH_NORMS, find_fault

    what = f"the network of {dict(architecture.picks)}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = space.build(replay(space, architecture), task)
        kind = type(network).__name__
        require(isinstance(network, torch.nn.Module), f"build gave a {kind}; it must give a torch.nn.Module")
        torch.manual_seed(seed)
        again = space.build(replay(space, architecture), task)
        first, second = network.state_dict(), again.state_dict()
        require(  # This stands before the first forward pass, which changes running statistics.
            first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first),
            f"{what} starts from other weights when built again; draw them from torch's generator only",
        )
        inputs = torch.randn(4, *task.input_shape)
        with sdpa_kernel(SDPBackend.MATH):  # Other kernels of attention cannot be differentiated twice.
            outputs = network(inputs)
    require(
        tuple(outputs.shape) == (4, task.num_outputs),
        f"{what} maps {tuple(inputs.shape)} to {tuple(outputs.shape)}; it must be {(4, task.num_outputs)}",
    )
    require(bool(outputs.isfinite().all()), f"{what} gives numbers that are not finite")
    fault = find_fault(network, inputs, batch_layers=BATCH_NORMS)
    require(fault is None, f"{what} {fault}")
    trained = [p for p in network.parameters() if p.requires_grad]
    require(len(trained) > 0, f"{what} has no parameter to train")
    loss = outputs.square().sum()
    for order in ("gradients", "second derivatives")[: 2 if twice else 1]:
        reached = torch.autograd.grad(loss, trained, allow_unused=True, create_graph=twice)
        gradients = [g for g in reached if g is not None]
        require(all(bool(g.isfinite().all()) for g in gradients), f"{what} has {order} that are not finite")
        require(any(bool(g.any()) for g in gradients), f"no gradient reaches a parameter of {what}")
        loss = torch.stack([g.square().sum() for g in gradients]).sum()
