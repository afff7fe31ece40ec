"""Controllers whose errors name the user's source line, and whose proposals are checked against their space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import failures
from ..architecture import Architecture
from ..errors import NasError, Rejected, SearchError, SpaceError
from ..failures import attempt, reason
from ..protocols.controllers import Controller, Watched
from ..protocols.spaces import SearchSpace
from ..space.identity import network_key_of
from ..space.sampling import replay
from ..trial import Trial
from .proposal import Proposal

STORED = "; all trials are stored: resume when the cause is gone, or start a new run"
"""End of a message about an error in a search whose trials are on disk."""


class GuardedController:
    """A controller whose unexpected errors become SearchErrors that name the line of its file.

    A NasError other than Rejected was raised on purpose and passes unchanged.

    Args:
        controller: The controller to call.
        then: End of the messages, such as STORED.
    """

    def __init__(self, controller: Controller, *, then: str = "") -> None:
        self._controller, self._then = controller, then
        self._name = type(controller).__name__

    def ask(self, n: int) -> list[Architecture]:
        proposed: list[Architecture] = self._run("ask", n)
        return proposed

    def tell(self, trials: Sequence[Trial]) -> None:
        self._run("tell", trials)

    def measurements(self) -> Mapping[str, float]:
        """The controller's numbers, none where it offers none (`Watched`)."""
        measured: Mapping[str, float] = self._run("measurements") if isinstance(self._controller, Watched) else {}
        return measured

    def _run(self, method: str, *arguments: Any) -> Any:
        called = attempt(lambda: getattr(self._controller, method)(*arguments))
        if isinstance(called.error, NasError) and not isinstance(called.error, Rejected):
            raise called.error
        if called.error is not None:
            rejected = isinstance(called.error, Rejected)
            remedy = "; a mutation or crossover may be: catch it, and draw again" if rejected else ""
            text = f"{method} raised {reason(called.error)}{remedy}"
            raise self._fault(method, text, called.error) from called.error
        return called.value

    def _fault(self, method: str, text: str, error: BaseException | None = None) -> SearchError:
        place = failures.place(type(self._controller), method, error)
        return SearchError(f"controller {self._name}: {text} ({place}){self._then}")


class CheckedController(GuardedController):
    """A guarded controller that proposes only architectures of its space.

    Args:
        controller: The controller to call.
        space: The space that it searches.
        then: End of the messages, such as STORED.
    """

    def __init__(self, controller: Controller, space: SearchSpace, *, then: str = "") -> None:
        super().__init__(controller, then=then)
        self._space = space

    def ask(self, n: int) -> list[Architecture]:
        """At most `n` architectures.

        Raises:
            SearchError: The controller returned something else, or the space rejects an architecture.
            SpaceError: An architecture is of another space.
        """
        return [architecture for architecture, _ in self._decided(n)]

    def propose(self, n: int, *, keyed: bool) -> list[Proposal]:
        """At most `n` proposals, each decided once and, where `keyed`, canonicalised once.

        Raises:
            SearchError, SpaceError: As `ask`; SpaceError also where the space's graph cannot be used.
        """
        space = self._space
        return [
            Proposal(architecture, spec, network_key_of(space, architecture, spec) if keyed else None)
            for architecture, spec in self._decided(n)
        ]

    def _decided(self, n: int) -> list[tuple[Architecture, Any]]:
        proposed: Any = super().ask(n)
        if not isinstance(proposed, list) or not all(isinstance(each, Architecture) for each in proposed):
            got = f"a {type(proposed).__name__}"
            if isinstance(proposed, list):
                got = f"a list of {', '.join(dict.fromkeys(type(each).__name__ for each in proposed))}"
            raise self._fault("ask", f"ask({n}) returned {got}; it must return a list of nas.architecture.Architecture")
        if len(proposed) > n:
            text = f"ask({n}) returned {len(proposed)} architectures; it may give fewer, but not more"
            raise self._fault("ask", text)
        return [(architecture, self._decide(architecture)) for architecture in proposed]

    def _decide(self, architecture: Architecture) -> Any:
        decided = attempt(replay, self._space, architecture)
        if decided.error is None:
            return decided.value
        if isinstance(decided.error, Rejected):
            text = f"it proposes what space {self._space.name!r} does not allow: {decided.error}"
            raise self._fault("ask", text) from decided.error
        if isinstance(decided.error, SpaceError):
            fault = self._fault("ask", f"what it proposes is not of its space: {decided.error}")
            raise SpaceError(str(fault)) from decided.error
        raise self._fault("ask", f"what it proposes cannot be decided: {reason(decided.error)}") from decided.error
