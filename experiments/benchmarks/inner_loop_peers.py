"""Who computes meta-gradients in `inner_loop`: this project's learners, a plain loop over tasks, and two packages.

All are given the same network, tasks and rate, and compute the same numbers. The peers get what suits them best: images
channels last, and in the plain loop a network written out by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.autograd import backward, grad
from torch.nn import functional as F

from nas.evaluators.learners import Anil, Maml
from nas.evaluators.learners.inner import channels_last, loss_of
from nas.evaluators.normalisation import set_normalisation
from nas.protocols import Kind, TaskBatch

Forward = Callable[[Sequence[Tensor], Tensor], Tensor]
Gradient = Callable[[], list[Tensor]]
"""The gradient of the tasks' mean query loss, by the network's parameters in their order."""


@dataclass(frozen=True)
class Problem:
    """What is differentiated.

    network  with batch normalisation by the statistics of the batch at hand, as PyTorch has it
    forward  the same network as a function of (its parameters in their order, inputs)
    """

    network: nn.Module
    forward: Forward
    batch: TaskBatch
    kind: Kind
    learner: Maml | Anil

    def to(self, dtype: torch.dtype) -> Problem:
        """The same in other numbers."""

        def cast(x: Tensor) -> Tensor:
            return x.to(dtype) if x.is_floating_point() else x

        batch = self.batch
        cast_batch = TaskBatch(cast(batch.support_x), cast(batch.support_y), cast(batch.query_x), cast(batch.query_y))
        return replace(self, network=copy.deepcopy(self.network).to(dtype), batch=cast_batch)

    def for_peers(self) -> tuple[nn.Module, list[tuple[Tensor, Tensor, Tensor, Tensor]]]:
        """A network of one's own, and the tasks one by one: (support x, support y, query x, query y)."""
        network = copy.deepcopy(self.network)
        batch = self.batch
        if batch.support_x.dim() == 5:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # is missing there
        return network, [
            (channels_last(sx), sy, channels_last(qx), qy)
            for sx, sy, qx, qy in zip(batch.support_x, batch.support_y, batch.query_x, batch.query_y, strict=True)
        ]


def ours(problem: Problem) -> Gradient:
    """The learner on the whole batch at once."""
    network = set_normalisation(copy.deepcopy(problem.network), "batch")
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def gradient() -> list[Tensor]:
        _, gradients = problem.learner.meta_gradient(network, parameters, problem.batch, problem.kind)
        return [gradients[name] for name in parameters]

    return gradient


def loop(problem: Problem) -> Gradient:
    """MAML with nothing but `torch.autograd.grad`, one task after the other."""
    network, tasks = problem.for_peers()
    weights: list[Tensor] = list(network.parameters())
    loss = loss_of(problem.kind)

    def one(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> tuple[Tensor, ...]:
        adapted = weights
        for _ in range(problem.learner.steps):
            gradients = grad(loss(problem.forward(adapted, sx), sy), adapted, create_graph=True)
            adapted = [w.sub(g, alpha=problem.learner.inner_lr) for w, g in zip(adapted, gradients, strict=True)]
        return grad(loss(problem.forward(adapted, qx), qy), weights)

    return lambda: _mean([one(*task) for task in tasks])


def higher(problem: Problem) -> Gradient:
    """MAML with the package `higher` (Grefenstette et al., arXiv 1910.01727), as in its own MAML example."""
    from higher import innerloop_ctx

    network, tasks = problem.for_peers()
    optimizer, loss = torch.optim.SGD(network.parameters(), lr=problem.learner.inner_lr), loss_of(problem.kind)

    def gradient() -> list[Tensor]:
        network.zero_grad()
        for sx, sy, qx, qy in tasks:
            with innerloop_ctx(network, optimizer, copy_initial_weights=False, track_higher_grads=True) as (now, inner):
                for _ in range(problem.learner.steps):
                    inner.step(loss(now(sx), sy))
                backward(loss(now(qx), qy) / len(tasks))
        return [p.grad for p in network.parameters() if p.grad is not None]

    return gradient


def torchopt(problem: Problem) -> Gradient:
    """MAML with the package `torchopt` (Ren et al., arXiv 2211.06934), as in its own MAML example."""
    from torchopt import MetaSGD, extract_state_dict, recover_state_dict

    network, tasks = problem.for_peers()
    weights, loss = list(network.parameters()), loss_of(problem.kind)
    optimizer = MetaSGD(network, lr=problem.learner.inner_lr)
    start, rest = (extract_state_dict(part, by="reference") for part in (network, optimizer))

    def gradient() -> list[Tensor]:
        for w in weights:
            w.grad = None
        for sx, sy, qx, qy in tasks:
            for _ in range(problem.learner.steps):
                optimizer.step(loss(network(sx), sy))
            backward(loss(network(qx), qy) / len(tasks))
            recover_state_dict(network, start)
            recover_state_dict(optimizer, rest)
        return [w.grad for w in weights if w.grad is not None]

    return gradient


PEERS: dict[str, Callable[[Problem], Gradient]] = {"loop": loop, "higher": higher, "torchopt": torchopt}


def installed(peer: str) -> bool:
    """Whether a peer can be run: the loop always, the others where their package is there."""
    return peer == "loop" or find_spec(peer) is not None


def conv4_forward(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """`conv4` by hand: a convolution's weight, a normalisation's scale and shift, four times; the head's two."""
    for i in range(0, 12, 3):
        x = F.conv2d(x, weights[i], stride=2, padding=1)
        x = F.relu(F.batch_norm(x, None, None, weights[i + 1], weights[i + 2], training=True))
    return F.linear(x.mean((2, 3)), weights[12], weights[13])


def mlp_forward(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """`mlp` by hand, with ReLU: each layer's weight and bias."""
    for i in range(0, len(weights) - 2, 2):
        x = F.linear(x, weights[i], weights[i + 1]).relu()
    return F.linear(x, weights[-2], weights[-1])


def _mean(gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.stack(parts).mean(0) for parts in zip(*gradients, strict=True)]
