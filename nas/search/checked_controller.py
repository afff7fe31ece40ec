"""What a controller proposes, held to its contract; what is wrong is said with the line of its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import failures
from ..architecture import Architecture
from ..errors import NasError, Rejected, SearchError, SpaceError
from ..failures import attempt, reason
from ..protocols import Controller, SearchSpace
from ..space.sampling import replay
from ..trial import Trial

STORED = "; all trials are stored: resume when the cause is gone, or start a new run"


class GuardedController:
    """A controller whose every error, but those that are raised on purpose (`NasError`), is a SearchError with the line
    of the controller's own file. `then` ends the message."""

    def __init__(self, controller: Controller, *, then: str = "") -> None:
        self._controller, self._then = controller, then
        self._name = type(controller).__name__

    def ask(self, n: int) -> list[Architecture]:
        asked: list[Architecture] = self._run("ask", n)
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        self._run("tell", trials)

    def _run(self, method: str, argument: Any) -> Any:
        result, error = attempt(lambda: getattr(self._controller, method)(argument))
        if isinstance(error, NasError) and not isinstance(error, Rejected):
            raise error
        if error is not None:
            remedy = "; a mutation or crossover may be: catch it, and draw again" if isinstance(error, Rejected) else ""
            raise self._fault(method, f"{method} raised {reason(error)}{remedy}", error) from error
        return result

    def _fault(self, method: str, text: str, error: BaseException | None = None) -> SearchError:
        place = failures.place(type(self._controller), method, error)
        return SearchError(f"controller {self._name}: {text} ({place}){self._then}")


class CheckedController(GuardedController):
    """A controller of which `ask` also raises for what is no list of at most `n` architectures, or what the space does
    not allow; SpaceError for an architecture of another."""

    def __init__(self, controller: Controller, space: SearchSpace, *, then: str = "") -> None:
        super().__init__(controller, then=then)
        self._space = space

    def ask(self, n: int) -> list[Architecture]:
        asked: Any = super().ask(n)
        if not isinstance(asked, list) or not all(isinstance(each, Architecture) for each in asked):
            kinds = ", ".join(dict.fromkeys(type(each).__name__ for each in asked)) if isinstance(asked, list) else ""
            got = f"a list of {kinds}" if kinds else f"a {type(asked).__name__}"
            raise self._fault("ask", f"ask({n}) returned {got}; it must return a list of nas.architecture.Architecture")
        if len(asked) > n:
            raise self._fault("ask", f"ask({n}) returned {len(asked)} architectures; it may give fewer, but not more")
        for architecture in asked:
            self._check(architecture)
        return asked

    def _check(self, architecture: Architecture) -> None:
        _, error = attempt(replay, self._space, architecture)
        if isinstance(error, Rejected):
            text = f"it proposes what space {self._space.name!r} does not allow: {error}"
            raise self._fault("ask", text) from error
        if isinstance(error, SpaceError):
            fault = self._fault("ask", f"what it proposes is not of its space: {error}")
            raise SpaceError(str(fault)) from error
        if error is not None:
            raise self._fault("ask", f"what it proposes cannot be decided: {reason(error)}") from error
