"""The argument of a space's `decide`: choices by name among options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from .errors import Rejected, SpaceError
from .options import PLAIN, SEQUENCES, as_sequence, plain, text_name

T = TypeVar("T")
Pick = Callable[[str, int], int]
"""Who decides: given a choice's name and its number of options, the index of one of them."""
MAX_CHOICES = 10_000


class Choose:
    """The one argument of `decide`: `choose(name, options)` returns one of the options and records which."""

    def __init__(self, pick: Pick) -> None:
        self.picks: dict[str, int] = {}
        self._pick = pick

    def __call__(self, name: str, options: Sequence[T]) -> T:
        """One of `options`, as a plain Python value. Raises SpaceError for no options, for options without an order,
        such as a set, and for a name that is no text, that no file can hold, or that was used before."""
        if type(name) is not str or not name.isascii():
            name = text_name(name)
        if type(options) not in SEQUENCES:
            options = as_sequence(name, options)
        if len(options) == 0:
            raise SpaceError(f"choice {name!r} has no options; give at least one")
        if name in self.picks:
            raise SpaceError(f"choice {name!r} is made twice in one architecture; give each choice its own name")
        if len(self.picks) >= MAX_CHOICES:
            raise SpaceError(f"more than {MAX_CHOICES} choices in one architecture (at {name!r}); does decide end?")
        index = self._pick(name, len(options))
        self.picks[name] = index
        option = options[index]
        return option if type(option) in PLAIN else plain(option)

    def subset(self, name: str, options: Sequence[T], *, min: int = 0, max: int | None = None) -> list[T]:
        """Between `min` and `max` of `options`, in their order; one yes/no choice an option, named `name[i]`.

        A `max` above the number of options, or None, is all of them. Raises SpaceError where there is no such subset,
        and as a choice does.
        """
        name, options = text_name(name), as_sequence(name, options)
        most = len(options) if max is None or max > len(options) else max
        if not 0 <= min <= most:
            raise SpaceError(
                f"subset {name!r} of {len(options)} options has min = {min} and max = {max}; min must be from 0 to max "
                "and to the number of options"
            )
        taken: list[T] = []
        for i, option in enumerate(options):
            must = min - len(taken) == len(options) - i
            may = len(taken) < most
            if may and (must or self(f"{name}[{i}]", (False, True))):
                taken.append(plain(option))
        return taken

    def permutation(self, name: str, options: Sequence[T]) -> list[T]:
        """All of `options` in a chosen order; one choice a place, named `name[i]`, among those not yet placed."""
        name = text_name(name)
        left: list[T] = [plain(option) for option in as_sequence(name, options)]
        placed: list[T] = []
        for i in range(len(left) - 1):
            chosen = self(f"{name}[{i}]", range(len(left)))
            placed.append(left.pop(chosen))
        return placed + left

    def reject(self, reason: str) -> NoReturn:
        """Says that the choices made so far are not allowed together."""
        raise Rejected(reason)
