"""Scores of several protocols that a store ranks together, as stores of earlier versions may hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..trial import Trial
from .protocol_check import MEASURED, MOST_NAMED, Protocol, differences, normal

MOST_LISTED = 8
"""Scores of one protocol that a message lists."""


@dataclass(frozen=True)
class MixedScores:
    """Scores that are ranked together although their protocols differ.

    Attributes:
        budget: Budget of the trials that the scores are of; None for final measurements.
        split: Split of the final measurements that the scores are of; None for trials.
        keys: The entries of the protocols that differ.
        groups: For each protocol the numbers of its trials, or the keys of its measurements, in their order.
    """

    budget: int | None
    split: str | None
    keys: tuple[str, ...]
    groups: tuple[tuple[int | str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        place = {"split": self.split} if self.budget is None else {"budget": self.budget}
        return {**place, "keys": list(self.keys), "groups": [list(group) for group in self.groups]}

    def text(self) -> str:
        """The scores, and what differs between their protocols, in one line."""
        scores = f"final {self.split} measurements" if self.budget is None else f"trials of budget {self.budget}"
        several = "; ".join(_listed(group) for group in self.groups)
        keys = ", ".join(self.keys[:MOST_NAMED])
        return (
            f"the scores of {scores} are of {len(self.groups)} protocols and cannot be ranked: {keys} differ "
            f"({several})"
        )


def mixed_scores(trials: Iterable[Trial], records: Mapping[str, Any] | None = None) -> list[MixedScores]:
    """The scores of a store that are ranked together although their protocols differ.

    Args:
        trials: All trials of the store.
        records: The store's records of final measurements.

    Returns:
        One entry for each budget of trials, and each split of measurements, that has scores of several protocols. Empty
        for a sound store.
    """
    by_budget: dict[int, list[tuple[int | str, Protocol]]] = {}
    for trial in trials:
        if trial.score is not None:
            by_budget.setdefault(trial.budget, []).append((trial.number, trial.score.protocol))
    by_split: dict[str, list[tuple[int | str, Protocol]]] = {}
    for key, record in (records or {}).items():
        if record.get("score"):
            split = key.removeprefix(MEASURED).partition("/")[0]
            by_split.setdefault(split, []).append((key, record["score"]["protocol"]))
    entries = [MixedScores(budget, None, *_groups(scores)) for budget, scores in by_budget.items()]
    entries += [MixedScores(None, split, *_groups(scores)) for split, scores in by_split.items()]
    return [entry for entry in entries if len(entry.groups) > 1]


def _listed(group: Sequence[int | str]) -> str:
    named = [f"#{item}" if isinstance(item, int) else item.rpartition("/")[0].rpartition("/")[2] for item in group]
    rest = f" and {len(named) - MOST_LISTED} more" if len(named) > MOST_LISTED else ""
    return ", ".join(named[:MOST_LISTED]) + rest


def _groups(scores: Sequence[tuple[int | str, Protocol]]) -> tuple[tuple[str, ...], tuple[tuple[int | str, ...], ...]]:
    """The keys that differ, and the names of the scores of each protocol."""
    groups: dict[str, tuple[Protocol, list[int | str]]] = {}
    for name, protocol in scores:
        groups.setdefault(json.dumps(normal(protocol), sort_keys=True), (protocol, []))[1].append(name)
    first, *others = [protocol for protocol, _ in groups.values()]
    keys = dict.fromkeys(key for other in others for key, _, _ in differences(normal(first), normal(other)))
    return tuple(keys), tuple(tuple(names) for _, names in groups.values())
