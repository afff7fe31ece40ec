"""Reptile: move the initial weights towards the weights that each task's own training ends at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.bounds import check_number
from nas.errors import ConfigError
from nas.protocols import CARRIED, LEARNER, TaskFamily
from nas.task import Kind, TaskBatch

from ..meta_training.microbatches import part_of
from ..networks.compatibility import check_gradient
from ..protocol_options import BEFORE
from .inner_loop import (
    MOST_STEPS,
    NO_STEPS,
    AdamState,
    Adapted,
    Descent,
    InnerOptimizer,
    Reduction,
    check_options,
    networks_own,
)

SQUARES, TAKEN = CARRIED + "squares:", CARRIED + "taken"


@dataclass(frozen=True)
class Reptile:
    """Reptile (Nichol et al., arXiv 1803.02999, algorithm 2): the outer gradient is initial minus adapted weights.

    In meta-training a task's support and query examples are one training set, taken in batches that go through the
    classes in turn; there is no split between them in Reptile.

    train_steps, batch          inner steps of meta-training, and the examples of each
    steps                       inner steps of adaptation, each on the whole support set (the paper: 50)
    inner_optimizer, reduction  as MAML's; the paper's Omniglot experiments have Adam without momentum
    optimizer_state             fresh: Adam starts anew for each task; kept: as the authors ran it (their code,
                                github.com/openai/supervised-reptile), where one Adam serves all tasks. A task starts
                                from the initial weights, but from the mean squared gradients that the task before it
                                left, so the tasks of an outer step are trained one after the other, which takes longer.
                                Adaptation starts from what meta-training left. Unlike theirs, Adam adds its ε after
                                the correction for the first steps, which makes no difference later
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
        """Any differentiable network will do."""
        check_gradient(network, x, batched=True, twice=False)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        """Where Adam's state is kept, that of an Adam that has taken no step."""
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
        own, adam = networks_own(parameters), _adam_state(parameters)
        alone = self.optimizer_state == "kept"  # then each task takes up the state that the one before it left
        parts = [part_of(batch, task, task + 1) for task in range(len(batch.support_x))] if alone else [batch]
        ends, losses = [], []
        for part in parts:
            end, loss = self._trained(network, own, adam, part, kind)
            ends.append(end.parameters)
            losses.append(loss)
            adam = AdamState({name: squares[-1] for name, squares in end.adam.squares.items()}, end.adam.taken)
        gradients = {name: (p - torch.cat([end[name] for end in ends]).mean(dim=0)).detach() for name, p in own.items()}
        return torch.stack(losses).mean(), gradients | (_named(adam) if alone else {})

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        own, adam = networks_own(parameters), _adam_state(parameters)
        rates = dict.fromkeys(own, self.inner_lr)
        return self._descent(network, kind, steps).predictions(own, rates, batch, adam)

    def _trained(
        self, network: nn.Module, own: Mapping[str, Tensor], adam: AdamState, batch: TaskBatch, kind: Kind
    ) -> tuple[Adapted, Tensor]:
        """Where each task's training ends, and the mean loss before its steps."""
        x = torch.cat([batch.support_x, batch.query_x], dim=1)
        y = torch.cat([batch.support_y, batch.query_y], dim=1)
        order = _in_turn(y, kind)
        descent = self._descent(network, kind, self.train_steps)
        rates = dict.fromkeys(own, self.inner_lr)
        at = descent.start(own, batch, adam)
        tasks = torch.arange(len(x), device=x.device)[:, None]
        losses = []
        for step in range(self.train_steps):
            chosen = self._rows(step, order)
            at, loss = descent.step(at, rates, x[tasks, chosen], y[tasks, chosen])
            losses.append(loss)
        return at, torch.stack(losses).mean()

    def _descent(self, network: nn.Module, kind: Kind, steps: int) -> Descent:
        return Descent(network, kind, steps, True, self.inner_optimizer, self.reduction)

    def _rows(self, step: int, order: Tensor) -> Tensor:
        """The examples of one inner step: (tasks, batch) positions, going round and round through `order`."""
        examples = order.shape[1]
        places = torch.arange(step * self.batch, (step + 1) * self.batch, device=order.device) % examples
        return order[:, places]


def _named(adam: AdamState) -> dict[str, Tensor]:
    """The state by the names of its parts among the meta-learned parameters, which have no dots."""
    squares = {SQUARES + name.replace(".", "/"): value.detach() for name, value in adam.squares.items()}
    return {**squares, TAKEN: torch.as_tensor(adam.taken)}


def _adam_state(parameters: Mapping[str, Tensor]) -> AdamState:
    """The state among the meta-learned parameters; of an Adam that has taken no step where they hold none."""
    if TAKEN not in parameters:
        return NO_STEPS
    names = {name: name.removeprefix(SQUARES).replace("/", ".") for name in parameters if name.startswith(SQUARES)}
    return AdamState({own: parameters[name] for name, own in names.items()}, parameters[TAKEN])


def _in_turn(y: Tensor, kind: Kind) -> Tensor:
    """For each task an order of its examples in which the classes take turns: (tasks, examples) positions."""
    tasks, examples = y.shape[:2]
    if kind == "regression":
        return torch.arange(examples, device=y.device).expand(tasks, examples)
    same = y[:, :, None] == y[:, None, :]
    earlier = torch.ones(examples, examples, dtype=torch.bool, device=y.device).tril(-1)
    rank = (same & earlier).sum(dim=2)
    return torch.argsort(rank * examples + y, dim=1, stable=True)
