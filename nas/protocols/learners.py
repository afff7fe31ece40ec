"""Protocols of learners, the inner loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ..adaptation_rule import AdaptationRule
from ..task import Kind, TaskBatch
from .tasks import TaskFamily

if TYPE_CHECKING:
    import torch
    from torch import Tensor


LEARNER = "learner:"
"""Name prefix of the learner's own meta-learned parameters."""
CARRIED = LEARNER + "state:"
"""Name prefix of the learner's parameters that no gradient moves: the learner updates them in each outer step."""


class Learner(Protocol):
    """Inner loop: adaptation of a network to the support set of a task.

    The argument `parameters` of the methods holds the meta-learned parameters by name, each of a shape `(*shape)`:
    the network's, and the learner's under the prefix `LEARNER`.

    Attributes:
        steps: Inner steps by default.
        outer_optimizer: Optimizer that applies `meta_gradient` in the outer loop.
        outer_lr: Learning rate of that optimizer.
    """

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def outer_optimizer(self) -> Literal["adam", "sgd"]: ...

    @property
    def outer_lr(self) -> float: ...

    def check(self, network: torch.nn.Module, x: Tensor) -> None:
        """Raises SpaceError where the learner cannot adapt the network, tried on inputs `(examples, *input_shape)`."""
        ...

    def initial(self, network: torch.nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        """Initial values of the learner's own meta-learned parameters, by names without dots.

        Raises:
            ConfigError: The learner cannot treat the tasks.
        """
        ...

    def at(self, progress: float) -> Learner:
        """The learner for this fraction of the meta-training, in [0, 1); most learners return themselves.

        It may differ in `meta_gradient` only.
        """
        ...

    def meta_gradient(
        self, network: torch.nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Outer loss of a batch of tasks and its gradient.

        Returns:
            The loss, a scalar, and its gradient by parameter name, each `(*shape)`. For a parameter whose name begins
            with `CARRIED`, its new value stands in the gradient's place.
        """
        ...

    def adapt(
        self, network: torch.nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        """Predictions for the queries after 0, 1, …, `steps` inner steps: (steps + 1, tasks, queries, outputs).

        `batch.query_y` has the right shape, but its content means nothing.
        """
        ...


@runtime_checkable
class Portable(Protocol):
    """Learner whose adaptation is known as data, so that an exported network can be adapted without this project."""

    def adaptation(self, network: torch.nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        """The rule with which `adapt` treats a task, for these meta-learned parameters."""
        ...


@runtime_checkable
class SecondOrder(Protocol):
    """Learner that may differentiate the gradients of the whole network.

    Attributes:
        second_order: Whether it does; then every layer must be twice differentiable.
    """

    @property
    def second_order(self) -> bool: ...
