"""Laws of learners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..protocols.learners import LEARNER, Learner
from ..task import Kind, Split, TaskBatch, TaskShape
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

    Args:
        learner: The learner.
        steps: Inner steps, at least 1.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    import torch

    network, batch = _toy_network(), _toy_batch()
    own = learner.initial(network, _ToyFamily())
    parameters = {name: value.detach().clone() for name, value in network.named_parameters()}
    parameters |= {LEARNER + name: value.detach().clone() for name, value in own.items()}
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
    relabelled = replace(batch, query_y=torch.zeros_like(batch.query_y))
    unseen = learner.adapt(network, parameters, relabelled, "classification", steps)
    require(torch.equal(predictions, unseen), "adapt depends on the labels of the queries, which it may not see")
    alone = TaskBatch(**{name: value[:1] for name, value in vars(batch).items()})
    one = learner.adapt(network, parameters, alone, "classification", steps)
    require(
        torch.allclose(one[:, 0], predictions[:, 0], rtol=1e-4, atol=1e-5),
        "adapt gives other predictions for a task alone than beside others; tasks must not see each other",
    )
    _check_meta_gradient(learner, network, parameters, batch)
    unchanged = all(torch.equal(before[name], value) for name, value in parameters.items())
    require(unchanged, "adapt or meta_gradient changes the parameters in place; they must make new tensors")
    require(
        all(torch.equal(before[name], value) for name, value in network.named_parameters()),
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


@dataclass(frozen=True)
class _ToyFamily:
    """Family of the toy tasks, as far as learners ask for it when they make their own parameters."""

    name: str = "toy"

    @property
    def shape(self) -> TaskShape:
        return TaskShape((FEATURES,), WAYS)

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        return _toy_batch()

    def check(self) -> None:
        """Accepts: there is no data."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def classes(self, split: Split) -> list[str]:
        return [str(number) for number in range(WAYS)]


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
    return TaskBatch(support_x, support_y, query_x, query_y, classes=ways.repeat(TASKS, 1))
