"""Evaluator `meta`: meta-training of a candidate, and its score on a frozen bank of unseen tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from nas.architecture import Architecture
from nas.bounds import check_number
from nas.errors import ConfigError
from nas.networks.size import named_if_too_large
from nas.protocols import Cost, Labelled, Learner, SearchSpace, TaskFamily, ZeroCost
from nas.task import Bank
from nas.training_recipe import OuterOptimizer
from nas.trial import Score

from .protocol_options import options_of

if TYPE_CHECKING:
    from torch import nn

Unit = Literal["outer steps", "GFLOPs", "seconds"]
MOST_TASKS = 1_000_000
"""Maximum of each number of tasks. The finals' fresh validation tasks are numbered from here on."""


@dataclass(frozen=True)
class MetaEvaluator:
    """Scores a candidate of `space` by its few-shot adaptation to tasks of `tasks`, with `learner` as the inner loop.

    The same seed gives every candidate the same meta-training tasks, and all candidates are scored on the same bank,
    validation tasks 0 to `validation_tasks` - 1. Scores can therefore be compared task by task.

    Attributes:
        space: Space of the candidates.
        tasks: Source of the tasks.
        learner: Inner loop.
        norm: Statistics of the normalisation layers (`nas.evaluators.networks.normalisation`).
        head_norm: Whether a layer normalisation stands before the linear layer that gives the output, so that one inner
            rate suits all candidates.
        tasks_per_step: Tasks of an outer step, at least 1.
        train_queries: Queries of each class (of each task in regression) in meta-training; 0 takes all.
        validation_tasks: Tasks of the bank, at least 2.
        anneal: Whether the outer learning rate falls linearly to zero over the budget; else it is constant.
        outer: Optimizer of the outer loop, such as { name = "sgd", rate = 0.1 }; None for the learner's own.
        unit: What the budget counts: outer steps, or GFLOPs or seconds of the meta-training (`step_cost`). Of these,
            only seconds depend on the machine and what else it does.
        chunk: Maximum number of tasks taken at once in meta-training and in scoring, which bounds memory. It changes
            rounding only.
        tf32: Whether a GPU multiplies with 10 bits of mantissa. This is an eighth faster, but changes scores: on an
            H200 one score moved by four of its standard errors, where rounding alone moves it by one.
        device: 'cpu', 'cuda', 'cuda:1', …, or 'auto': a GPU where there is one.
    """

    space: SearchSpace
    tasks: TaskFamily
    learner: Learner
    norm: Literal["group", "batch", "support", "none"] = "group"
    head_norm: bool = True
    tasks_per_step: int = 8
    train_queries: int = 0
    validation_tasks: int = 200
    anneal: bool = True
    chunk: int = 25
    tf32: bool = False
    device: str = "auto"
    outer: OuterOptimizer | None = None
    unit: Unit = "outer steps"

    def __post_init__(self) -> None:
        for option, least in {"tasks_per_step": 1, "validation_tasks": 2, "chunk": 1}.items():
            check_number("evaluator", option, getattr(self, option), least, MOST_TASKS)
        check_number("evaluator", "train_queries", self.train_queries, 0, 10_000)
        if isinstance(self.tasks, Labelled):
            raise ConfigError(
                f"{self.tasks.name!r} is one data set, of which no few-shot tasks are drawn; take evaluator "
                "'supervised', or tasks such as image-folder or arrays"
            )

    def with_half_chunk(self) -> Self | None:
        """The evaluator that takes half as many tasks at once; None where it takes one at a time already."""
        return replace(self, chunk=self.chunk // 2) if self.chunk > 1 else None

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError, DataError or SpaceError where device, data or space cannot serve the tasks."""
        from .meta_training.bank_digest import digest
        from .meta_training.devices import device_of

        device_of(self.device)
        self.tasks.check()
        digest(self.tasks, Bank("validation", 0, 1))
        self.learner.initial(self.network(architecture, seed=0), self.tasks)

    def network(self, architecture: Architecture, seed: int) -> nn.Module:
        """The network with initial weights from `seed`.

        Raises:
            SpaceError: It does not fit the tasks or the learner.
        """
        from .networks.building import build
        from .networks.normalisation import Normalisation

        return build(
            self.space,
            architecture,
            self.tasks.shape,
            Normalisation(self.norm, self.head_norm),
            learner=self.learner,
            seed=seed,
        )

    def cost(self, architecture: Architecture, cost: Cost) -> float:
        """The cost of the network (`nas.protocols.Cost`); parameters and FLOPs are those of a score's metrics.

        Raises:
            UncountedError: Not all FLOPs can be counted.
            SpaceError: The space has no such network. An error of the space's `build` is raised as it is.
        """
        from .networks.costs import cost_of
        from .networks.normalisation import Normalisation

        normalisation = Normalisation(self.norm, self.head_norm)
        return cost_of(self.space, architecture, self.tasks.shape, normalisation, cost, device=self.device)

    def features(self, architecture: Architecture, names: Sequence[ZeroCost]) -> dict[str, float]:
        """Zero-cost scores (`zero_cost_proxies.py`) of the network with the initial weights of seed 0.

        They are computed on the CPU and rounded to six figures, so that a controller's proposals do not depend on the
        device or the number of threads. Errors of the space's `build`, and of a network that does not fit the tasks,
        are raised as they are.
        """
        from .networks.costs import features_of
        from .networks.normalisation import Normalisation

        normalisation = Normalisation(self.norm, self.head_norm)
        return features_of(self.space, architecture, self.tasks, normalisation, names)

    def trained(self, architecture: Architecture, budget: int, seed: int, weights: Path) -> nn.Module:
        """The network with the weights that `measure` left in a file, and the learner's own meta-learned parameters.

        Raises:
            DataError: The file holds other weights.
            ConfigError: The network computes nothing without a support set.
        """
        if self.norm == "support":
            raise ConfigError(
                "a network with norm = 'support' needs the support set beside each input, and so cannot be exported as "
                "one that stands alone; search with norm = 'group' or 'none' to take the winner away"
            )
        from .networks.weights import read_weights

        network = self.network(architecture, seed)
        read_weights(network, weights, self._label(architecture, budget, seed))
        return network

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score on the validation bank after a meta-training of `budget` outer steps, or what `unit` says.

        Raises:
            NasError: Meta-training or adaptation diverges, or labels leak.
        """
        score = self._score(architecture, budget, seed, self._bank)
        return replace(score, per_class=(), per_unit=())

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        """The score after the first `budget` outer steps of a schedule of `schedule` steps.

        The outer learning rate is that of the whole schedule. The training continues from the state in the file
        `checkpoint`, and writes the new state there.

        Raises:
            NasError: Meta-training or adaptation diverges, or labels leak.
        """
        score = self._score(architecture, budget, seed, self._bank, stages=(schedule, checkpoint))
        return replace(score, per_class=(), per_unit=())

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        """The score on another bank, with the weights in the file `weights`, newly trained where there is no file.

        Raises:
            DataError: The file holds other weights.
            NasError: Meta-training or adaptation diverges, or labels leak.
        """
        return self._score(architecture, budget, seed, bank, weights=weights)

    def protocol(self, budget: int, bank: Bank, schedule: int | None = None) -> dict[str, Any]:
        """Everything that determines a score except the seed, as JSON values.

        A training that stops before the end of its schedule has a protocol of its own.
        """
        from .meta_training.bank_digest import digest

        training = {**self._training(budget), "schedule": schedule or budget}
        frozen = {**asdict(bank), "hash": digest(self.tasks, bank)}
        return {**training, "bank": frozen, "tasks": self.tasks.describe()}

    def search_protocol(self, budget: int, schedule: int) -> dict[str, Any]:
        """The protocol of the scores of `evaluate`, or of `advance` for the first `budget` steps of a schedule."""
        return self.protocol(budget, self._bank, schedule)

    @property
    def _bank(self) -> Bank:
        return Bank("validation", 0, self.validation_tasks)

    def _training(self, budget: int) -> dict[str, Any]:
        return {
            "learner": {"name": self.learner.name, **options_of(self.learner)},
            "norm": self.norm,
            "head_norm": self.head_norm,
            "budget": budget,
            "tasks_per_step": self.tasks_per_step,
            "train_queries": self.train_queries,
            "anneal": self.anneal,
            "tf32": self.tf32,
            **({} if self.outer is None else {"outer": asdict(self.outer)}),
            **({} if self.unit == "outer steps" else {"budget_unit": self.unit}),
        }

    def _label(self, architecture: Architecture, budget: int, seed: int) -> dict[str, str]:
        """Metadata of a weights file. It leaves out the tasks' data, so that a winner can be exported without them."""
        training = {"tasks": self.tasks.name, **self._training(budget)}
        return {"architecture": architecture.key, "seed": str(seed), "training": json.dumps(training)}

    def _score(
        self,
        architecture: Architecture,
        budget: int,
        seed: int,
        bank: Bank,
        *,
        weights: Path | None = None,
        stages: tuple[int, Path] | None = None,
    ) -> Score:
        """The score on `bank`, with weights from the file `weights` where it exists, else newly trained.

        `stages` is None for a whole schedule; else it is the steps of the schedule and the checkpoint file.
        """
        from .meta_training.devices import device_of, provenance, reproducible
        from .meta_training.microbatches import Chunk, Chunked
        from .meta_training.scoring import check_queries_apart, score
        from .networks.profile import latency_ms, size
        from .networks.weights import read_weights, write_weights

        device = device_of(self.device)
        started = time.perf_counter()
        network = self.network(architecture, seed)
        metrics = size(network, self.tasks.shape)
        outer_steps = None
        chunk = Chunk(self.chunk)
        learner = Chunked(self.learner, chunk)
        with named_if_too_large(self.space, architecture), reproducible(network, device, tf32=self.tf32):
            label = self._label(architecture, budget, seed)
            if weights is not None and weights.exists():
                read_weights(network, weights, label)
            else:
                outer_steps = self._train(network, learner, architecture, budget, seed, stages)
                metrics["outer_steps"] = float(outer_steps)  # Only for its place in the JSON, as in earlier versions.
                if weights is not None:
                    write_weights(network, weights, label)
            metrics["train_seconds"] = time.perf_counter() - started
            result = score(network, self.tasks, learner, bank, chunk=chunk.size)
            check_queries_apart(network, self.tasks, learner, bank)
            metrics["latency_ms"] = latency_ms(network, self.tasks.shape, device)
        return Score(
            value=result.value,
            stderr=result.stderr,
            curve=result.curve,
            per_task=result.per_task,
            metrics=metrics,
            protocol=self.protocol(budget, bank, stages[0] if stages else None),
            per_class=result.per_class,
            provenance={"seed": seed, **provenance(device)},
            per_unit=result.per_unit,
            units=result.units,
            cost_s=time.perf_counter() - started,
            outer_steps=outer_steps,
            tasks_at_once=chunk.size if chunk.halved else None,
        )

    def _train(
        self,
        network: nn.Module,
        learner: Learner,
        architecture: Architecture,
        budget: int,
        seed: int,
        stages: tuple[int, Path] | None,
    ) -> int:
        """Meta-trains the network up to the budget, and returns the steps taken; `stages` is as in `_score`."""
        from .meta_training.outer_loop import MetaTraining, OuterLoop
        from .meta_training.step_cost import step_cost
        from .networks.weights import attach
        from .stages import advance_from

        attach(network, learner.initial(network, self.tasks))
        schedule = stages[0] if stages else budget
        loop = OuterLoop(schedule, self.tasks_per_step, self.train_queries, self.anneal, self.outer)
        if self.unit != "outer steps":
            cost = step_cost(network, self.tasks, learner, loop, self.unit)
            budget = max(1, int(budget / cost))
            loop = replace(loop, budget=max(1, int(schedule / cost)))
        training = MetaTraining(network, self.tasks, learner, loop, seed)
        if stages is None:
            training.advance(budget)
            return budget
        label = {**self._label(architecture, schedule, seed), "tasks": json.dumps(self.tasks.describe())}
        return advance_from(stages[1], training, budget, label)
