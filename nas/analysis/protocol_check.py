"""Comparison of the protocols of scores, so that no store ranks the scores of two experiments together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ProtocolError, shown
from ..trial import Trial

MOST_NAMED = 3
"""Differences that a message names."""
MEASURED = "measured/"
"""Prefix of the keys of a store's records of final measurements, before the split of their bank."""
SPACE_TABLE = "space_table"
"""Key, beside those of a score's protocol, of the digest of a table whose rows are the searched space."""
DATA = frozenset({"tasks.digest", "tasks.augmentation.digest", "table", SPACE_TABLE})
"""Entries of a protocol that only other data change."""

Protocol = Mapping[str, Any]


def normal(protocol: Protocol) -> dict[str, Any]:
    """The protocol as it is read back from JSON; values that JSON has no form for are written as text."""
    return dict(json.loads(json.dumps(dict(protocol), default=str)))


def differences(one: Protocol, other: Protocol, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The entries that differ between two protocols.

    Args:
        one: A protocol.
        other: Another one.
        prefix: Prefix of the keys, of nested protocols.

    Yields:
        The key ('bank.hash'), its value in one, and its value in the other; None where it is missing.
    """
    for key in {**one, **other}:
        first, second = one.get(key), other.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from differences(first, second, f"{prefix}{key}.")
        elif first != second:
            yield f"{prefix}{key}", first, second


def differences_text(one: Protocol, other: Protocol) -> str:
    """'tasks.digest was "ab" and is "cd"': the first differences between two protocols; empty where they are equal."""
    entries = list(differences(normal(one), normal(other)))
    named = [f"{key} was {shown(before)} and is {shown(now)}" for key, before, now in entries[:MOST_NAMED]]
    rest = [f"{len(entries) - MOST_NAMED} more"] if len(entries) > MOST_NAMED else []
    return ", ".join([*named, *rest])


def check_same(first: Protocol, other: Protocol, scores: str) -> None:
    """Checks that a score has the protocol of the scores that it is kept with.

    Args:
        first: Protocol of the first of these scores.
        other: Protocol of the score.
        scores: Name of these scores in the message.

    Raises:
        ProtocolError: The protocols differ.
    """
    if first != other and (text := differences_text(first, other)):
        raise ProtocolError(
            f"{scores} would be of two protocols ({text}), which cannot be ranked together; has the data changed while "
            "the run went on? Restore what it was and resume, or start a new run"
        )


def check_trial(first: Trial, trial: Trial) -> None:
    """Raises ProtocolError where a trial's score has another protocol than the first of its budget."""
    if first.score is not None and trial.score is not None:
        scores = f"the scores of trials {first.number} and {trial.number}, both of budget {trial.budget},"
        check_same(first.score.protocol, trial.score.protocol, scores)
