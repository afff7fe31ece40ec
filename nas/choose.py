"""Named choices among options: the argument of a space's `decide`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from .errors import Rejected, SpaceError
from .options import PLAIN, SEQUENCES, as_sequence, plain, text_name

T = TypeVar("T")
Pick = Callable[[str, int], int]
"""A function of a choice's name and its number of options, which returns the index of one of them."""
MAX_CHOICES = 10_000
"""Maximum number of choices in one architecture."""


class Choose:
    """The argument of `decide`: `choose(name, options)` returns one of the options and records which.

    Args:
        pick: Function that makes each choice.

    Attributes:
        picks: Index of the option taken, by the name of the choice, in the order of the choices.
    """

    def __init__(self, pick: Pick) -> None:
        self.picks: dict[str, int] = {}
        self._pick = pick

    def __call__(self, name: str, options: Sequence[T]) -> T:
        """One of `options`, as a plain Python value.

        Raises:
            SpaceError: There are no options, they have no order (as a set), or the name is not a text, cannot be
                written to a file, or was used before.
        """
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
        """A subset of `options` in their order, from one yes/no choice an option, named `name[i]`.

        Args:
            name: Name of the choices.
            options: The options.
            min: Least number of options taken, from 0.
            max: Largest number of options taken; None or more than there are: all.

        Raises:
            SpaceError: There is no such subset, or a choice cannot be made.
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
        """All of `options` in a chosen order, from one choice a position, named `name[i]`, among those left."""
        name = text_name(name)
        left: list[T] = [plain(option) for option in as_sequence(name, options)]
        placed: list[T] = []
        for i in range(len(left) - 1):
            chosen = self(f"{name}[{i}]", range(len(left)))
            placed.append(left.pop(chosen))
        return placed + left

    def reject(self, reason: str) -> NoReturn:
        """Rejects the architecture: the choices made so far are not allowed together.

        Raises:
            Rejected: Always.
        """
        raise Rejected(reason)
