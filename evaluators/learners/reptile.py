"""Reptile: initial weights moved towards the final weights of each task's own training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.bounds import MOST_STEPS, check_number
from nas.errors import ConfigError
from nas.protocols import CARRIED, LEARNER, TaskFamily
from nas.task import Kind, TaskBatch

from ..meta_training.microbatches import part_of
from ..networks.compatibility import check_gradient
from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from ..protocol_options import BEFORE
from .inner_loop import (
    NO_STEPS,
    AdamState,
    Adapted,
    Descent,
    InnerOptimizer,
    Reduction,
    check_options,
    network_parameters,
)

SQUARES, TAKEN = CARRIED + "squares:", CARRIED + "taken"


@dataclass(frozen=True)
class Reptile:
    """Reptile (Nichol et al., arXiv 1803.02999, algorithm 2): the outer gradient is initial minus adapted weights.

    In meta-training the support and query examples of a task are one training set, because Reptile does not split them.
    It is taken in batches that go through the classes in turn.

    Attributes:
        inner_lr: Step size of the inner steps, above 0.
        train_steps: Inner steps of meta-training, at least 1.
        batch: Examples of each of these steps, at least 1.
        steps: Inner steps of adaptation, each on the whole support set (50 in the paper).
        outer_lr: Fraction of the way to the tasks' final weights that an outer step takes, above 0.
        inner_optimizer: Optimizer of the inner steps, as in `Maml`; the paper's Omniglot experiments have 'adam'.
        reduction: Loss of the inner steps, as in `Maml`.
        optimizer_state: 'fresh' starts Adam anew for each task. 'kept' is what the authors ran
            (github.com/openai/supervised-reptile): one Adam serves all tasks. A task starts from the initial weights,
            but from the mean squared gradients that the task before it left, so the tasks of an outer step are trained
            one after the other, which takes longer. Adaptation starts from the state that meta-training left. Unlike
            in the authors' code, Adam adds its ε after the correction for the first steps; this makes no difference
            later.
        name: Name of the learner in protocols and messages.
    """

    inner_lr: float = 1e-3
    train_steps: int = 5
    batch: int = 10
    steps: int = 50
    outer_lr: float = 1.0
    inner_optimizer: InnerOptimizer = "adam"
    reduction: Reduction = "mean"
    optimizer_state: Literal["fresh", "kept"] = field(default="fresh", metadata={BEFORE: "fresh"})
    name: str = field(default="reptile", kw_only=True)
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "sgd"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        check_number(self.name, "train_steps", self.train_steps, 1, MOST_STEPS)
        check_number(self.name, "batch", self.batch, 1, 10_000)
        if self.optimizer_state == "kept" and self.inner_optimizer != "adam":
            raise ConfigError(
                f"{self.name} optimizer_state = 'kept' with inner_optimizer = {self.inner_optimizer!r}, which has no "
                f"state to keep; use inner_optimizer = 'adam' or optimizer_state = 'fresh'"
            )

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Accepts any differentiable network."""
        check_gradient(network, x, batched=True, twice=False)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        """The state of an Adam that has taken no step, where the state is kept."""
        if self.optimizer_state == "fresh":
            return {}
        learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
        squares = {name: torch.zeros_like(p, requires_grad=False) for name, p in learned.items()}
        adam = _named(AdamState(squares, torch.zeros((), dtype=torch.float64)))
        return {name.removeprefix(LEARNER): value for name, value in adam.items()}

    def at(self, progress: float) -> Reptile:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weights, adam = network_parameters(parameters), _adam_state(parameters)
        kept = self.optimizer_state == "kept"  # Each task then starts from the state that the task before it left.
        parts = [part_of(batch, task, task + 1) for task in range(len(batch.support_x))] if kept else [batch]
        ends, losses = [], []
        for part in parts:
            end, loss = self._trained(network, weights, adam, part, kind)
            ends.append(end.parameters)
            losses.append(loss)
            adam = AdamState({name: squares[-1] for name, squares in end.adam.squares.items()}, end.adam.taken)
        means = {name: torch.cat([end[name] for end in ends]).mean(dim=0) for name in weights}
        gradients = {name: (p - means[name]).detach() for name, p in weights.items()}
        return torch.stack(losses).mean(), gradients | (_named(adam) if kept else {})

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        weights, adam = network_parameters(parameters), _adam_state(parameters)
        rates = dict.fromkeys(weights, self.inner_lr)
        return self._descent(network, kind, steps).predictions(weights, rates, batch, adam)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        adam = _adam_state(parameters)
        state = {f"square/{name}": square for name, square in adam.squares.items()}
        if state:
            state["taken"] = torch.as_tensor(adam.taken)
        return AdaptationRule(
            method="gradient",
            head_only=False,
            steps=self.steps,
            optimizer=self.inner_optimizer,
            reduction=self.reduction,
            rate=self.inner_lr,
            adapts=tuple(network_parameters(parameters)),
            head=head_name(network),
            batch_statistics=sees_batch(network),
            tensors=state,
        )

    def _trained(
        self, network: nn.Module, weights: Mapping[str, Tensor], adam: AdamState, batch: TaskBatch, kind: Kind
    ) -> tuple[Adapted, Tensor]:
        """The state of each task after its training, and the mean loss before each step, a scalar."""
        x = torch.cat([batch.support_x, batch.query_x], dim=1)
        y = torch.cat([batch.support_y, batch.query_y], dim=1)
        order = _in_turn(y, kind)
        descent = self._descent(network, kind, self.train_steps)
        rates = dict.fromkeys(weights, self.inner_lr)
        state = descent.start(weights, batch, adam)
        tasks = torch.arange(len(x), device=x.device)[:, None]
        losses = []
        for step in range(self.train_steps):
            chosen = self._rows(step, order)
            state, loss = descent.step(state, rates, x[tasks, chosen], y[tasks, chosen])
            losses.append(loss)
        return state, torch.stack(losses).mean()

    def _descent(self, network: nn.Module, kind: Kind, steps: int) -> Descent:
        return Descent(network, kind, steps, True, self.inner_optimizer, self.reduction)

    def _rows(self, step: int, order: Tensor) -> Tensor:
        """Positions (tasks, batch) of the examples of one inner step, in cycles through `order` (tasks, examples)."""
        examples = order.shape[1]
        places = torch.arange(step * self.batch, (step + 1) * self.batch, device=order.device) % examples
        return order[:, places]


def _named(adam: AdamState) -> dict[str, Tensor]:
    """The state as meta-learned parameters, whose names have no dots."""
    squares = {SQUARES + name.replace(".", "/"): value.detach() for name, value in adam.squares.items()}
    return {**squares, TAKEN: torch.as_tensor(adam.taken)}


def _adam_state(parameters: Mapping[str, Tensor]) -> AdamState:
    """The state in the meta-learned parameters; the state before the first step where they hold none."""
    if TAKEN not in parameters:
        return NO_STEPS
    names = {name: name.removeprefix(SQUARES).replace("/", ".") for name in parameters if name.startswith(SQUARES)}
    return AdamState({weight: parameters[name] for name, weight in names.items()}, parameters[TAKEN])


def _in_turn(y: Tensor, kind: Kind) -> Tensor:
    """Positions (tasks, examples) of each task's examples in an order in which the classes take turns."""
    tasks, examples = y.shape[:2]
    if kind == "regression":
        return torch.arange(examples, device=y.device).expand(tasks, examples)
    same = y[:, :, None] == y[:, None, :]
    earlier = torch.ones(examples, examples, dtype=torch.bool, device=y.device).tril(-1)
    rank = (same & earlier).sum(dim=2)
    return torch.argsort(rank * examples + y, dim=1, stable=True)
