"""Laws of learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..protocols.learners import Learner
from ..task import Kind, TaskBatch
from .toy_spaces import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FEATURES, WAYS, SHOTS, QUERIES, TASKS = 4, 3, 2, 2, 2


def check_learner(learner: Learner, *, steps: int = 2) -> None:
    """Checks laws of `nas.protocols.Learner` on a small network and random classification tasks, on the CPU.

    * `adapt` gives finite predictions (steps + 1, tasks, queries, outputs), the same when called again.
    * It depends on no query's label and on no other task, and changes neither the network nor its arguments.
    * `meta_gradient` gives a finite loss, and a finite gradient of the shape of each parameter.

    Learners whose own parameters need a family's classes are given none, so that these are not checked.

    Args:
        learner: The learner.
        steps: Inner steps, at least 1.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    import torch

    network, batch = _toy_network(), _toy_batch()
    parameters = {name: value.detach().clone() for name, value in network.named_parameters()}
    before = {name: value.clone() for name, value in parameters.items()}
    predictions = learner.adapt(network, parameters, batch, "classification", steps)
    expected = (steps + 1, TASKS, WAYS * QUERIES, WAYS)
    require(
        tuple(predictions.shape) == expected,
        f"adapt gives predictions {tuple(predictions.shape)}; they must be (steps + 1, tasks, queries, outputs), "
        f"here {expected}",
    )
    require(bool(predictions.isfinite().all()), "adapt gives predictions that are not finite")
    again = learner.adapt(network, parameters, batch, "classification", steps)
    require(torch.equal(predictions, again), "adapt gives other predictions when called again with the same arguments")
    relabelled = TaskBatch(batch.support_x, batch.support_y, batch.query_x, torch.zeros_like(batch.query_y))
    unseen = learner.adapt(network, parameters, relabelled, "classification", steps)
    require(torch.equal(predictions, unseen), "adapt depends on the labels of the queries, which it may not see")
    alone = TaskBatch(*(value[:1] for value in (batch.support_x, batch.support_y, batch.query_x, batch.query_y)))
    one = learner.adapt(network, parameters, alone, "classification", steps)
    require(
        torch.allclose(one[:, 0], predictions[:, 0], rtol=1e-4, atol=1e-5),
        "adapt gives other predictions for a task alone than beside others; tasks must not see each other",
    )
    _check_meta_gradient(learner, network, parameters, batch)
    unchanged = all(torch.equal(before[name], value) for name, value in parameters.items())
    require(unchanged, "adapt or meta_gradient changes the parameters in place; they must make new tensors")
    own = dict(network.named_parameters())
    require(
        all(torch.equal(before[name], value) for name, value in own.items()),
        "adapt or meta_gradient changes the network's own weights; use torch.func.functional_call",
    )


def _check_meta_gradient(
    learner: Learner, network: torch.nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch
) -> None:
    kind: Kind = "classification"
    loss, gradients = learner.at(0.0).meta_gradient(network, parameters, batch, kind)
    require(
        loss.numel() == 1 and bool(loss.isfinite().all()), f"meta_gradient gives the loss {loss}; one finite number"
    )
    for name, value in parameters.items():
        require(name in gradients, f"meta_gradient gives no gradient of the parameter {name!r}")
        require(
            gradients[name].shape == value.shape,
            f"meta_gradient gives a gradient {tuple(gradients[name].shape)} of {name!r}, which is {tuple(value.shape)}",
        )
        require(
            bool(gradients[name].isfinite().all()), f"meta_gradient gives a gradient of {name!r} that is not finite"
        )


def _toy_network() -> torch.nn.Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(FEATURES, 8), torch.nn.Tanh(), torch.nn.Linear(8, WAYS))


def _toy_batch() -> TaskBatch:
    import torch

    generator = torch.Generator().manual_seed(1)
    ways = torch.arange(WAYS)
    support_y, query_y = (ways.repeat_interleave(count).repeat(TASKS, 1) for count in (SHOTS, QUERIES))
    support_x, query_x = (
        torch.randn(*y.shape, FEATURES, generator=generator) + y[..., None] for y in (support_y, query_y)
    )
    return TaskBatch(support_x, support_y, query_x, query_y)
