"""Contenders of the benchmark: our learners, plain loops over tasks, and the packages higher and torchopt.

All take the same network, tasks and inner rate, and compute the same meta-gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd import backward, grad
from torch.nn import functional as F

from nas.evaluators.meta_training.cuda_graph import Recorded
from nas.evaluators.networks.normalisation import set_normalisation
from nas.protocols import Learner
from nas.task import TaskBatch

from .problems import Problem

Gradient = Callable[[], Sequence[Tensor]]
"""Function that returns the gradient of the tasks' mean query loss by each of the network's parameters, in order."""


def ours(problem: Problem) -> Gradient:
    """Our learner on the whole batch at once, on a GPU recorded as a CUDA graph, as in a search."""
    network = set_normalisation(copy.deepcopy(problem.network), "batch")
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    gradients = {name: torch.empty_like(p) for name, p in parameters.items()}

    def step(batch: TaskBatch, learner: Learner) -> None:
        for name, gradient in learner.meta_gradient(network, parameters, batch, problem.kind)[1].items():
            gradients[name].copy_(gradient)

    recorded = Recorded(step, problem.batch.support_x.device)

    def gradient() -> list[Tensor]:
        recorded(problem.batch, problem.learner)
        return list(gradients.values())

    return gradient


def loop(problem: Problem) -> Gradient:
    """MAML as a plain loop over tasks with `torch.autograd.grad`."""
    network, tasks = problem.for_peers()
    weights: list[Tensor] = list(network.parameters())
    # One backward pass for all tasks is a tenth faster with tiny tasks; with images it only takes memory.
    groups = [tasks] if problem.kind == "regression" else [[task] for task in tasks]

    def query_loss(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
        adapted = weights
        for _ in range(problem.learner.steps):
            gradients = grad(problem.loss(problem.forward(adapted, sx), sy), adapted, create_graph=True)
            adapted = [w.sub(g, alpha=problem.learner.inner_lr) for w, g in zip(adapted, gradients, strict=True)]
        return problem.loss(problem.forward(adapted, qx), qy) / len(tasks)

    return lambda: _sum([grad(_sum([[query_loss(*task)] for task in group])[0], weights) for group in groups])


def anil_loop(problem: Problem) -> Gradient:
    """ANIL as a plain loop over tasks: only the last two parameters, the head, adapt."""
    network, tasks = problem.for_peers()
    weights: list[Tensor] = list(network.parameters())

    def one(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Sequence[Tensor]:
        support, query, head = problem.body(weights, sx), problem.body(weights, qx), weights[-2:]
        for _ in range(problem.learner.steps):
            gradients = grad(problem.loss(F.linear(support, *head), sy), head, create_graph=True)
            head = [w.sub(g, alpha=problem.learner.inner_lr) for w, g in zip(head, gradients, strict=True)]
        return grad(problem.loss(F.linear(query, *head), qy) / len(tasks), weights)

    return lambda: _sum([one(*task) for task in tasks])


def higher(problem: Problem) -> Gradient:
    """MAML with the package `higher` (Grefenstette et al., arXiv 1910.01727), as in its own MAML example."""
    from higher import innerloop_ctx

    network, tasks = problem.for_peers()
    optimizer = torch.optim.SGD(network.parameters(), lr=problem.learner.inner_lr)

    def gradient() -> list[Tensor]:
        network.zero_grad()
        for sx, sy, qx, qy in tasks:
            context = innerloop_ctx(network, optimizer, copy_initial_weights=False, track_higher_grads=True)
            with context as (adapted, inner):
                for _ in range(problem.learner.steps):
                    inner.step(problem.loss(adapted(sx), sy))
                backward(problem.loss(adapted(qx), qy) / len(tasks))
        return [p.grad for p in network.parameters() if p.grad is not None]

    return gradient


def torchopt(problem: Problem) -> Gradient:
    """MAML with the package `torchopt` (Ren et al., arXiv 2211.06934), as in its own MAML example."""
    from torchopt import MetaSGD, extract_state_dict, recover_state_dict

    network, tasks = problem.for_peers()
    weights = list(network.parameters())
    optimizer = MetaSGD(network, lr=problem.learner.inner_lr)
    initial, initial_optimizer = (extract_state_dict(part, by="reference") for part in (network, optimizer))

    def gradient() -> list[Tensor]:
        for w in weights:
            w.grad = None
        for sx, sy, qx, qy in tasks:
            for _ in range(problem.learner.steps):
                optimizer.step(problem.loss(network(sx), sy))
            backward(problem.loss(network(qx), qy) / len(tasks))
            recover_state_dict(network, initial)
            recover_state_dict(optimizer, initial_optimizer)
        return [w.grad for w in weights if w.grad is not None]

    return gradient


PEERS: Mapping[str, Callable[[Problem], Gradient]] = {"loop": loop, "higher": higher, "torchopt": torchopt}
CONTENDERS: Mapping[str, Callable[[Problem], Gradient]] = {"ours": ours, **PEERS, "loop, ANIL": anil_loop}


def installed(peer: str) -> bool:
    """Whether a peer can be run: the loop always, the others if their packages and their dependencies are installed."""
    try:  # `find_spec` would not notice a missing dependency of the package
        if peer == "higher":
            import higher  # noqa: F401
        elif peer == "torchopt":
            import torchopt  # noqa: F401
    except ImportError:
        return False
    return True


def _sum(gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The sum over tasks of each parameter's gradients."""
    return [torch.stack(parts).sum(0) for parts in zip(*gradients, strict=True)]
