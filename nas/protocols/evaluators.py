"""Protocols of evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, runtime_checkable

from ..task import Bank
from .learners import Learner
from .tasks import TaskFamily

if TYPE_CHECKING:
    import torch

    from ..architecture import Architecture
    from ..trial import Score


E = TypeVar("E")
Cost = Literal["parameters", "flops", "latency_ms"]
"""Costs of a network, the quickest to compute first: the number of learned parameters; FLOPs of the forward pass of one
input; milliseconds of that pass on this device."""
ZeroCost = Literal["synflow", "naswot", "grad-norm", "parameters"]
"""Zero-cost scores: predictions, from an untrained network, of how well it will train. Higher is better."""


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
class Chunked(Protocol):
    """Evaluator that can take fewer tasks at once, with the same scores up to rounding.

    An evaluation or measurement in which memory runs out is made once more by it.
    """

    def with_half_chunk(self) -> Self | None:
        """The evaluator that takes half as many tasks at once; None where it takes one at a time already."""
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


def half_chunk(evaluator: E) -> E | None:
    """The evaluator with half as many tasks at once; None where it has no smaller way."""
    return evaluator.with_half_chunk() if isinstance(evaluator, Chunked) else None
