"""Protocols of the components that the packages exchange. Plain classes satisfy them, without a base class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from .task import Bank, Kind, Split, TaskBatch, TaskShape

if TYPE_CHECKING:
    import networkx as nx
    import torch
    from torch import Tensor

    from .architecture import Architecture
    from .choose import Choose
    from .trial import Score, Trial

Cost = Literal["parameters", "flops", "latency_ms"]
"""Costs of a network, the quickest to compute first: the number of learned parameters; FLOPs of the forward pass of one
input; milliseconds of that pass on this device."""
ZeroCost = Literal["synflow", "naswot", "grad-norm", "parameters"]
"""Zero-cost scores: predictions, from an untrained network, of how well it will train. Higher is better."""
LEARNER = "learner:"
"""Name prefix of the learner's own meta-learned parameters."""
CARRIED = LEARNER + "state:"
"""Name prefix of the learner's parameters that no gradient moves: the learner updates them in each outer step."""


class SearchSpace(Protocol):
    """Set of architectures: `decide` makes the choices in plain Python, `build` makes the network.

    `GraphSpace`, `FileSpace` and `TextSpace` are what a space may offer besides.
    """

    @property
    def name(self) -> str: ...

    def decide(self, choose: Choose) -> Any: ...

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module: ...


@runtime_checkable
class GraphSpace(SearchSpace, Protocol):
    """Search space that draws its architectures as graphs. In any other space only equal picks are the same network."""

    def graph(self, spec: Any) -> nx.DiGraph:
        """The architecture as `nas.space.graph` describes it.

        The graph must distinguish all networks that `build` distinguishes, because a search evaluates architectures of
        equal canonical form once. What is outside the cell is an attribute of the whole graph, a JSON value:
        `DiGraph(width=16, num_cells=3)`.
        """
        ...


@runtime_checkable
class FileSpace(SearchSpace, Protocol):
    """Search space that adds files of its own to the folder of an exported network."""

    def files(self, spec: Any) -> Mapping[str, str]:
        """Texts by file name."""
        ...


@runtime_checkable
class TextSpace(SearchSpace, Protocol):
    """Search space with a notation of its own for architectures, by which tables name them."""

    def to_text(self, architecture: Architecture) -> str: ...


class Controller(Protocol):
    """Search strategy, which proposes architectures.

    A controller is a function of the space, the seed, and the trials it was told in order: the nth architecture asked
    for is drawn from a generator derived from (seed, n), so replaying the stored trials rebuilds the controller
    exactly.

    Laws (`nas.testing`): `ask(a + b)` equals `ask(a) + ask(b)`; `tell(a + b)` equals `tell(a); tell(b)`.
    """

    def ask(self, n: int) -> list[Architecture]: ...

    def tell(self, trials: Sequence[Trial]) -> None: ...


class Evaluator(Protocol):
    """Evaluation of a candidate.

    An evaluator must be picklable, because it is sent to worker processes. An error that it raises makes a failed
    trial.
    """

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score: ...


@runtime_checkable
class Resumable(Evaluator, Protocol):
    """Evaluator that can interrupt the training of a candidate after some outer steps and continue it later.

    A search with `search.fidelity` then pays for each step once; with any other evaluator a promoted candidate is
    trained from the start again.
    """

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        """The score after the first `budget` of `schedule` outer steps; after all of them, that of `evaluate`.

        The training continues from the file `checkpoint` where that holds an earlier stage of the same training, and
        writes the new stage there. A file that is lost, damaged or of another training costs time and changes no
        number. The score's `outer_steps` are those that this call took.
        """
        ...


@runtime_checkable
class Costed(Protocol):
    """Evaluator that computes the cost of a candidate's network without training it, as `search.constraints` need."""

    def cost(self, architecture: Architecture, cost: Cost) -> float: ...


@runtime_checkable
class Featured(Protocol):
    """Evaluator that computes zero-cost scores of a candidate, as a controller's `zero_cost` needs.

    A controller whose constructor has a parameter `features` is given this method, or None where the evaluator has
    none.
    """

    def features(self, architecture: Architecture, names: Sequence[ZeroCost]) -> Mapping[str, float]:
        """The scores of those names, the same in every call. May raise, or leave out what it cannot compute."""
        ...


@runtime_checkable
class Protocolled(Protocol):
    """Evaluator that gives the protocol of a search's scores without evaluating anything.

    A run stores the protocol, and is continued only where it is still the same.
    """

    def search_protocol(self, budget: int, schedule: int) -> Mapping[str, Any]:
        """The value of `Score.protocol`: JSON values, with digests of all data that the score depends on.

        Args:
            budget: Outer steps, at most `schedule`.
            schedule: The budget of the search's highest rung.
        """
        ...


@runtime_checkable
class Tabled(Evaluator, Protocol):
    """Evaluator that looks up measured results in a table.

    A look-up takes no time, so the time budget of a search is charged with the seconds that the table reports.
    """

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError, DataError or SpaceError where the table cannot serve the space."""
        ...

    def seconds(self, architecture: Architecture, budget: int) -> float:
        """Seconds that the evaluation would have taken, known before `evaluate` is called.

        Raises:
            DataError: The table lacks the architecture.
            ConfigError: The table has no costs.
        """
        ...

    def reported(self, architecture: Architecture, budget: int) -> float:
        """The value to report of a chosen architecture, such as its test accuracy, which no search has seen."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """Evaluator that can measure a candidate on any bank. It declares that it offers all of `Measurer`."""

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        """The score on another bank than the search's.

        Meta-trained weights are read from the file `weights` when it exists; else the candidate is meta-trained and
        they are written there, so one training serves several banks.
        """
        ...


class Measurer(Measuring, Evaluator, Protocol):
    """Evaluator of a whole run: checks before the search, measurements of the finals, and the winner's network."""

    @property
    def tasks(self) -> TaskFamily: ...

    @property
    def learner(self) -> Learner: ...

    def network(self, architecture: Architecture, seed: int) -> torch.nn.Module:
        """The network of an architecture, with initial weights from `seed`."""
        ...

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError, DataError or SpaceError where device, data or space cannot serve the tasks."""
        ...

    def trained(self, architecture: Architecture, budget: int, seed: int, weights: Path) -> torch.nn.Module:
        """The network with the weights that `measure` left in the file `weights`."""
        ...


@runtime_checkable
class Normalising(Protocol):
    """Evaluator that chooses what the normalisation layers of a network see.

    Attributes:
        norm: Mode of the normalisation. A network in mode 'support' cannot be exported.
    """

    @property
    def norm(self) -> str: ...


class Trials(Protocol):
    """Store of a search's trials: `nas.store.Store` on disk, `nas.store.MemoryStore` in memory."""

    def trials(self) -> list[Trial]: ...

    def pending(self) -> list[Trial]: ...

    def promoted(self) -> set[int]: ...

    def propose(self, architectures: Sequence[Architecture], budget: int, seed: int) -> list[Trial]: ...

    def propose_duplicate(self, architecture: Architecture, first: Trial) -> Trial: ...

    def promote(self, trial: Trial, budget: int) -> Trial: ...

    def finish(self, trial: Trial) -> bool: ...

    def replay(self, controller: Controller) -> None: ...


class TaskFamily(Protocol):
    """Source of tasks, deterministic in (family, split, index, seed). Splits are disjoint in classes.

    A family is a frozen value: equal families draw equal tasks. `FewShot`, `ClassNames`, `Grouped` and `Reader` are
    what a family may offer besides.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> TaskShape: ...

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch: ...

    def check(self) -> None:
        """Raises DataError where the data is missing, damaged, or too small for the ways and shots."""
        ...

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks as JSON values: name, options, and a digest of the data."""
        ...


@runtime_checkable
class FewShot(Protocol):
    """Task family whose tasks all have the same numbers of examples.

    Attributes:
        shots: Support examples of each class; of each task in regression.
        queries: Query examples of each class; of each task in regression.
    """

    @property
    def shots(self) -> int: ...

    @property
    def queries(self) -> int: ...


@runtime_checkable
class ClassNames(Protocol):
    """Task family whose tasks are made of named classes."""

    def classes(self, split: Split) -> Sequence[str]:
        """Names of the classes of a split, in the order of the numbers in `TaskBatch.classes`."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """Task family whose classes belong to larger units, and whose results generalise over the units.

    The rotations of one character are such a unit, and so are the characters of an alphabet. Intervals take units as
    the random sample; for other families they take classes.
    """

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """The name of the units in the plural, and for each class of the split the number of its unit."""
        ...


@runtime_checkable
class Reader(Protocol):
    """Task family that reads a user's own examples for `nas adapt`, where they are neither images nor numbers."""

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """Labelled examples from a file.

        Returns:
            Examples (examples, *input_shape) float32 as in the tasks, and the class of each, '?' where it is unknown.

        Raises:
            DataError: The file is missing, damaged or of another form.
        """
        ...


class Learner(Protocol):
    """Inner loop: adaptation of a network to the support set of a task.

    The argument `parameters` of the methods holds the meta-learned parameters by name, each of its own shape (*shape):
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
        """Raises SpaceError where the learner cannot adapt the network, tried on inputs x (examples, *input_shape)."""
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
            The loss, a scalar, and its gradient by parameter name, each (*shape). For a parameter whose name begins
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
class SecondOrder(Protocol):
    """Learner that may differentiate the gradients of the whole network.

    Attributes:
        second_order: Whether it does; then every layer must be twice differentiable.
    """

    @property
    def second_order(self) -> bool: ...
