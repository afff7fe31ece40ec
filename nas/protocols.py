"""The seams between the rooms: what each part may ask of another. Plain classes satisfy them, without a base class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from .task import Bank, Kind, Split, TaskBatch, TaskShape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .architecture import Architecture
    from .choose import Choose
    from .trial import Score, Trial


Cost = Literal["parameters", "flops", "latency_ms"]
"""What a network costs, from the quickest told on: learned numbers; FLOPs, and milliseconds on this device, of one
input's forward pass."""
ZeroCost = Literal["synflow", "naswot", "grad-norm", "parameters"]
"""What an untrained network says of how well it will train, the more the better."""
LEARNER = "learner:"
"""What the names begin with of meta-learned parameters that are the learner's, not the network's."""
CARRIED = LEARNER + "state:"
"""What the names begin with of those that no gradient moves: numbers that a learner updates in each outer step."""


class SearchSpace(Protocol):
    """What can be searched. `decide` makes the choices in plain Python; `build` makes the network.

    A space may also draw: `graph(spec)` returns a networkx.DiGraph as `nas.space.graph` describes it. Then it must tell
    apart all that `build` makes apart, for a search evaluates architectures of equal canonical form once. What is not
    in the cell are attributes of the graph as a whole, JSON values: `DiGraph(width=16, num_cells=3)`. Without `graph`
    only equal picks are the same network.
    """

    @property
    def name(self) -> str: ...

    def decide(self, choose: Choose) -> Any: ...

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module: ...


class Controller(Protocol):
    """Who proposes. A function of (space, seed, trials told in order): the nth architecture asked for is drawn from a
    generator derived from (seed, n), so replaying the stored trials rebuilds the controller exactly.

    Laws (`nas.testing`): `ask(a + b)` equals `ask(a) + ask(b)`; `tell(a + b)` equals `tell(a); tell(b)`.
    """

    def ask(self, n: int) -> list[Architecture]: ...

    def tell(self, trials: Sequence[Trial]) -> None: ...


class Evaluator(Protocol):
    """Who judges. Must be picklable (it travels to worker processes) and may raise: that is a failed trial."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score: ...


@runtime_checkable
class Resumable(Evaluator, Protocol):
    """An evaluator that can leave a candidate after a few outer steps and go on later.

    A search with `search.fidelity` then pays for each step once; with any other evaluator a promoted candidate is
    trained from the start again."""

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        """The score after the first `budget` outer steps of a training of `schedule` steps. After all of them it is
        what `evaluate` gives for that budget.

        Goes on from the file `checkpoint` where it holds an earlier stage of this very training, and leaves this stage
        there. A file that is lost, damaged or of something else costs time and changes no number. The score's
        `outer_steps` are those that this call took."""
        ...


@runtime_checkable
class Costed(Protocol):
    """An evaluator that tells what a candidate's network costs without training it, as `search.constraints` need."""

    def cost(self, architecture: Architecture, cost: Cost) -> float: ...


@runtime_checkable
class Featured(Protocol):
    """An evaluator that tells zero-cost scores of a candidate, as a controller's `zero_cost` needs.

    A controller whose constructor has a parameter `features` is given this method, or None where there is none."""

    def features(self, architecture: Architecture, names: Sequence[ZeroCost]) -> Mapping[str, float]:
        """The scores of those names, always the same. May raise, or leave out what it cannot tell."""
        ...


@runtime_checkable
class Protocolled(Protocol):
    """An evaluator that tells the protocol of a search's scores without evaluating anything.

    A run keeps it, and is continued only where it is still the same."""

    def search_protocol(self, budget: int, schedule: int) -> Mapping[str, Any]:
        """What `Score.protocol` will hold: JSON values, with digests of all data that the score depends on.

        `schedule` is the budget of a search's highest rung, of which `budget` may be a part."""
        ...


@runtime_checkable
class Tabled(Evaluator, Protocol):
    """An evaluator that looks up what others measured. It takes no time, so a search has the time that it says."""

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError, DataError or SpaceError where the table cannot serve the space."""
        ...

    def seconds(self, architecture: Architecture, budget: int) -> float:
        """What `evaluate` would have cost, known before it. Raises DataError where the table lacks the architecture,
        ConfigError where it says nothing of costs."""
        ...

    def reported(self, architecture: Architecture, budget: int) -> float:
        """The value to report of a chosen architecture, which no search has seen: its test accuracy, say."""
        ...


class Measurer(Evaluator, Protocol):
    """What a whole run needs beyond an Evaluator: checks before it starts, the finals, and the winner's network."""

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

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        """The score on another bank. Meta-trained weights are read from the file `weights` when it exists, else the
        candidate is meta-trained and they are written there, so one training serves several banks."""
        ...


class Trials(Protocol):
    """Where a search keeps its trials: `nas.store.Store` on the disk, `nas.store.MemoryStore` in memory."""

    def trials(self) -> list[Trial]: ...

    def pending(self) -> list[Trial]: ...

    def promoted(self) -> set[int]: ...

    def propose(self, architectures: Sequence[Architecture], budget: int, seed: int) -> list[Trial]: ...

    def propose_duplicate(self, architecture: Architecture, first: Trial) -> Trial: ...

    def promote(self, trial: Trial, budget: int) -> Trial: ...

    def finish(self, trial: Trial) -> bool: ...

    def replay(self, controller: Controller) -> None: ...


class TaskFamily(Protocol):
    """Where tasks come from: deterministic in (family, split, index, seed). Splits are disjoint in classes.

    A frozen value: equal families draw equal tasks."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> TaskShape: ...

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch: ...

    def check(self) -> None:
        """Raises DataError where the data is missing, damaged, or too small for the ways and shots asked for."""
        ...

    def describe(self) -> dict[str, Any]:
        """What identifies the tasks, as JSON values: name, options, and a digest of the data."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """A task family whose classes come in larger units that are what generalises: the rotations of one character, the
    characters of an alphabet. Intervals take these units as the random sample; of other families, classes."""

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """What the units are, in the plural, and for each class of the split the number of its unit."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A task family that reads a person's own examples for `nas adapt`, where those are neither images nor numbers."""

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """Examples (examples, *input_shape) float32 as the tasks have them, and the class of each, '?' if not known.

        Raises DataError."""
        ...


class Learner(Protocol):
    """The inner loop: how a network adapts to a task's support set. `parameters` are the meta-learned ones, by name.

    steps                       inner steps by default
    outer_optimizer, outer_lr   what the outer loop applies `meta_gradient` with
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
        """Raises SpaceError for a network, tried on inputs x (examples, *input_shape), that cannot be treated so."""
        ...

    def initial(self, network: torch.nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        """What is meta-learned besides the network's own parameters, by names without dots, with its initial values.

        `parameters` then holds it under LEARNER and the name. Raises ConfigError for tasks that it cannot treat."""
        ...

    def at(self, progress: float) -> Learner:
        """The learner to use when this fraction of the meta-training, in [0, 1), is done; most are the same all along.

        It differs in `meta_gradient` alone."""
        ...

    def meta_gradient(
        self, network: torch.nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The outer loss (a scalar) and its gradient, by parameter name, for one batch of tasks.

        Of a parameter whose name begins with CARRIED it is the new value that stands in the gradient's place."""
        ...

    def adapt(
        self, network: torch.nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        """Predictions for the queries after 0, 1, …, `steps` inner steps: (steps + 1, tasks, queries, outputs).

        `batch.query_y` has the right shape, but its content means nothing."""
        ...
