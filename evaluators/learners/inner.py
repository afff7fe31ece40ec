"""What gradient-based learners share: calling a network with given weights, its loss, and plain inner steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap

from nas.errors import ConfigError
from nas.protocols import LEARNER, Kind, TaskBatch

from ..normalisation import queries_told

Parameters = Mapping[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def call(network: nn.Module, parameters: Parameters, x: Tensor) -> Tensor:
    """`network(x)` with `parameters` in place of its own: (examples, *input_shape) -> (examples, outputs)."""
    output: Tensor = functional_call(network, dict(parameters), (x,))
    return output


def call_queries(network: nn.Module, parameters: Parameters, support_x: Tensor, query_x: Tensor) -> Tensor:
    """The outputs for a task's queries; a network that normalises them by the support set is given that too."""
    told = queries_told(network, query_x.shape[0])
    if not told:
        return call(network, parameters, query_x)
    return call(network, {**parameters, **told}, torch.cat([support_x, query_x]))[support_x.shape[0] :]


def channels_last(x: Tensor) -> Tensor:
    """Images (examples, channels, height, width) on the CPU laid out channels last; other tensors as they are.

    There convolutions and pools are several times faster so. With one channel both layouts have the same elements in
    the same places, and only strides tell a convolution which one to carry on with.
    """
    if x.dim() != 4 or x.device.type != "cpu":
        return x
    _, channels, height, width = x.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, strides)


def loss_of(kind: Kind) -> Loss:
    """Mean cross-entropy of (examples, classes) logits, or mean squared error of (examples, outputs) predictions."""
    return nn.functional.cross_entropy if kind == "classification" else nn.functional.mse_loss


@dataclass(frozen=True)
class Descent:
    """Gradient descent on one task: how the inner loop of MAML and its kin goes.

    steps        how many
    first_order  the gradient is detached: the outer gradient then takes each step as a constant shift (Finn et al.,
                 arXiv 1703.03400, section 5.2)
    """

    network: nn.Module
    loss: Loss
    steps: int
    first_order: bool

    def step(
        self, parameters: Parameters, rates: Mapping[str, Tensor | float], x: Tensor, y: Tensor
    ) -> dict[str, Tensor]:
        """The parameters after one step on the examples; those that have no rate stay as they are."""
        moving = {name: parameters[name] for name in rates}
        gradients = grad(lambda p: self.loss(call(self.network, {**parameters, **p}, x), y))(moving)
        if self.first_order:
            gradients = {name: g.detach() for name, g in gradients.items()}
        return {**parameters, **{name: p - rates[name] * gradients[name] for name, p in moving.items()}}

    def query_losses(self, parameters: Parameters, rates: Mapping[str, Tensor | float], batch: TaskBatch) -> Tensor:
        """Each task's loss on its queries after the steps on its support set: (tasks,)."""

        def one(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            p = parameters
            for _ in range(self.steps):
                p = self.step(p, rates, sx, sy)
            return self.loss(call_queries(self.network, p, sx, qx), qy)

        losses: Tensor = vmap(one)(batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        return losses

    def predictions(self, parameters: Parameters, rates: Mapping[str, Tensor | float], batch: TaskBatch) -> Tensor:
        """Predictions for the queries after 0, 1, …, `steps` steps: (steps + 1, tasks, queries, outputs)."""

        def one(sx: Tensor, sy: Tensor, qx: Tensor) -> Tensor:
            p = parameters
            predicted = [call_queries(self.network, p, sx, qx)]
            for _ in range(self.steps):
                p = self.step(p, rates, sx, sy)
                predicted.append(call_queries(self.network, p, sx, qx))
            return torch.stack(predicted)

        with torch.no_grad():
            curves: Tensor = vmap(one, out_dims=1)(batch.support_x, batch.support_y, batch.query_x)
        return curves


def outer_gradient(
    loss: Callable[[dict[str, Tensor]], Tensor], parameters: Parameters
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean of the tasks' losses as a function of the meta-learned parameters: its value and gradient."""
    gradients, value = grad_and_value(lambda p: loss(p).mean())(dict(parameters))
    return value, gradients


def networks_own(parameters: Parameters) -> dict[str, Tensor]:
    """The meta-learned parameters that are the network's."""
    return {name: p for name, p in parameters.items() if not name.startswith(LEARNER)}


def extra(parameters: Parameters) -> dict[str, Tensor]:
    """The other meta-learned parameters, by the names that the learner's `initial` gave them."""
    return {name.removeprefix(LEARNER): p for name, p in parameters.items() if name.startswith(LEARNER)}


def check_options(learner: str, *, steps: int, **rates: float) -> None:
    """Raises ConfigError where the number of inner steps or a rate cannot be used."""
    if steps < 1:
        raise ConfigError(f"{learner} steps = {steps}; at least 1 inner step is needed")
    for option, value in rates.items():
        if not value > 0:
            raise ConfigError(f"{learner} {option} = {value}; it must be above 0")
