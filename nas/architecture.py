"""Architectures: points of a search space, as the options that were taken."""

from __future__ import annotations

import hashlib
import json
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .errors import SpaceError


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: for each choice made, the index of the option taken.

    Nothing else is kept: `nas.space.replay` turns it back into the space's own description of a network.

    Attributes:
        space: Name of the space.
        picks: Index of the option taken, in [0, number of options), by the name of the choice; read-only.
    """

    __slots__ = ("_hash", "picks", "space")
    space: str
    picks: Mapping[str, int]

    def __post_init__(self) -> None:
        picks = dict(self.picks)
        for name, index in picks.items():
            if type(index) is not int:  # Such as numpy's integers, which JSON does not know.
                picks[name] = int(operator.index(index))
        object.__setattr__(self, "picks", MappingProxyType(picks))

    def __hash__(self) -> int:
        # Kept, since controllers look each architecture up in sets about ten times.
        kept: int | None = getattr(self, "_hash", None)
        if kept is None:
            kept = hash((self.space, frozenset(self.picks.items())))
            object.__setattr__(self, "_hash", kept)
        return kept

    def __reduce__(self) -> tuple[type[Architecture], tuple[str, dict[str, int]]]:
        return Architecture, (self.space, dict(self.picks))

    @property
    def key(self) -> str:
        """A stable digest of 16 hexadecimal digits, independent of the order of the picks."""
        text = json.dumps([self.space, sorted(self.picks.items())], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {"space": self.space, "picks": dict(self.picks)}

    @staticmethod
    def from_json(data: object) -> Architecture:
        """Reads what `to_json` wrote.

        Raises:
            SpaceError: `data` is something else; the message names the entry.
        """
        if not isinstance(data, dict) or not isinstance(data.get("space"), str):
            raise SpaceError("an architecture is an object with 'space' (a name) and 'picks' (choice name -> index)")
        picks = data.get("picks")
        if not isinstance(picks, dict):
            raise SpaceError("an architecture's 'picks' must map choice names to indices")
        for name, index in picks.items():
            if type(name) is not str:
                raise SpaceError(f"a pick is named {name!r}; the name of a choice must be a text")
            if type(index) is not int or index < 0:
                raise SpaceError(f"pick {name!r} is {index!r}; it must be an index, a whole number from 0")
        # Runs have up to millions of architectures with the same few names.
        return Architecture(sys.intern(data["space"]), {sys.intern(name): index for name, index in picks.items()})
