"""Comparison of the protocols of scores, so that no store ranks the scores of two experiments together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import ProtocolError, shown
from ..trial import Trial

MOST_NAMED = 3
"""Differences that a message names."""
MEASURED = "measured/"
"""What the keys of a store's records of final measurements begin with, before the split of their bank."""
SPACE_TABLE = "space_table"
"""The key, beside those of a score's protocol, of the digest of a table whose rows are the searched space."""
DATA = frozenset({"tasks.digest", "table", SPACE_TABLE})
"""Entries of a protocol that only other data change."""

Protocol = Mapping[str, Any]


def normal(protocol: Protocol) -> dict[str, Any]:
    """The protocol as it is read back from JSON; what JSON has no form for is written as its text."""
    return dict(json.loads(json.dumps(dict(protocol), default=str)))


def differences(one: Protocol, other: Protocol, of: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What differs between two protocols: 'bank.hash', its value in one, its value in the other; None where missing."""
    for key in {**one, **other}:
        first, second = one.get(key), other.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from differences(first, second, f"{of}{key}.")
        elif first != second:
            yield f"{of}{key}", first, second


def differences_text(one: Protocol, other: Protocol) -> str:
    """'tasks.digest was "ab" and is "cd"': the first differences between two protocols; empty where they are equal."""
    found = list(differences(normal(one), normal(other)))
    told = [f"{key} was {shown(before)} and is {shown(now)}" for key, before, now in found[:MOST_NAMED]]
    rest = [f"{len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return ", ".join([*told, *rest])


def check_same(first: Protocol, other: Protocol, scores: str) -> None:
    """Raises ProtocolError where a score has another protocol than the first of the scores that it is kept with.

    `scores` says in the message which these are."""
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


def mixed(trials: Iterable[Trial], records: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Where a store holds scores of several protocols that are ranked together, as JSON values.

    Args:
        trials: All trials of the store.
        records: The store's records of final measurements.

    Returns:
        One entry for each budget of trials, and each split of measurements, that has scores of several protocols:
        'budget' or 'split', the 'keys' that differ, and in 'groups' for each protocol the numbers of its trials or the
        keys of its measurements, in their order. Empty for a sound store.
    """
    kept: dict[tuple[str, Any], list[tuple[int | str, Protocol]]] = {}
    for trial in trials:
        if trial.score is not None:
            kept.setdefault(("budget", trial.budget), []).append((trial.number, trial.score.protocol))
    for key, record in (records or {}).items():
        if record.get("score"):
            split = key.removeprefix(MEASURED).partition("/")[0]
            kept.setdefault(("split", split), []).append((key, record["score"]["protocol"]))
    found = ((kind, value, _groups(scores)) for (kind, value), scores in kept.items())
    return [{kind: value, "keys": keys, "groups": groups} for kind, value, (keys, groups) in found if len(groups) > 1]


def mixed_text(found: Sequence[Mapping[str, Any]]) -> str:
    """A line for each entry of `mixed`."""
    return "\n".join(_mixed_line(entry) for entry in found)


def _mixed_line(entry: Mapping[str, Any]) -> str:
    what = f"trials of budget {entry['budget']}" if "budget" in entry else f"final {entry['split']} measurements"
    several = "; ".join(_listed(group) for group in entry["groups"])
    keys = ", ".join(entry["keys"][:MOST_NAMED])
    return (
        f"the scores of {what} are of {len(entry['groups'])} protocols and cannot be ranked: {keys} differ ({several})"
    )


def _listed(group: Sequence[int | str]) -> str:
    named = [f"#{item}" if isinstance(item, int) else item.rpartition("/")[0].rpartition("/")[2] for item in group]
    most = 8
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def _groups(scores: Sequence[tuple[int | str, Protocol]]) -> tuple[list[str], list[list[int | str]]]:
    """The keys that differ, and the names of the scores of each protocol."""
    groups: dict[str, tuple[Protocol, list[int | str]]] = {}
    for name, protocol in scores:
        groups.setdefault(json.dumps(normal(protocol), sort_keys=True), (protocol, []))[1].append(name)
    first, *others = [protocol for protocol, _ in groups.values()]
    keys = dict.fromkeys(key for other in others for key, _, _ in differences(normal(first), normal(other)))
    return list(keys), [names for _, names in groups.values()]
