"""Protocols of controllers, and of the stores whose trials they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ..architecture import Architecture
    from ..trial import Trial


class Controller(Protocol):
    """Search strategy, which proposes architectures.

    A controller is a function of the space, the seed, and the trials it was told in order: the nth architecture asked
    for is drawn from a generator derived from (seed, n), so replaying the stored trials rebuilds the controller
    exactly.

    Laws (`nas.testing`): `ask(a + b)` equals `ask(a) + ask(b)`; `tell(a + b)` equals `tell(a); tell(b)`.
    """

    def ask(self, n: int) -> list[Architecture]: ...

    def tell(self, trials: Sequence[Trial]) -> None: ...


@runtime_checkable
class Watched(Controller, Protocol):
    """Controller that offers numbers about its state, which the TensorBoard log of a search shows.

    Law (`nas.testing`): a controller proposes the same whether and however often it is measured.
    """

    def measurements(self) -> Mapping[str, float]:
        """The present numbers by name; one that is not defined yet is absent."""
        ...


class Trials(Protocol):
    """Store of a search's trials: `nas.store.Store` on disk, `nas.store.MemoryStore` in memory."""

    def trials(self) -> list[Trial]: ...

    def pending(self) -> list[Trial]: ...

    def promoted(self) -> set[int]: ...

    def propose(
        self, architectures: Sequence[Architecture], budget: int, seed: int, *, later: bool = False
    ) -> list[Trial]: ...

    def propose_duplicate(self, architecture: Architecture, first: Trial, *, later: bool = False) -> Trial: ...

    def promote(self, trial: Trial, budget: int) -> Trial: ...

    def finish(self, trial: Trial) -> bool: ...

    def replay(self, controller: Controller) -> None: ...
