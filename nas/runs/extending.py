"""Runs that are extended: more candidates, failed ones again, or finals on what is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..analysis.protocol_check import MEASURED
from ..analysis.ranking import num_candidates
from ..config.schema import Config
from ..errors import ConfigError, RunError
from ..store.sqlite_store import Store
from ..trial import Trial, without_duplicates
from .folder import FINAL
from .wall_clock import SPENT

log = logging.getLogger(__name__)
ENDED = "ended"
"""Key of the record of why a search ended before all its candidates; it goes on only where it is extended."""
FINISHED = {"reason": "--finish"}
"""Value of that record where a person ended the search."""
TESTED = "tested"
"""Key of the record of the numbers of scored trials with which finals came to the test tasks."""


@dataclass(frozen=True)
class Extension:
    """What a resumed run does besides going on.

    Attributes:
        trials: Candidates that the search is to have in all; None for as many as before.
        retry: Whether failed candidates are evaluated again.
        finish: Whether the search ends here, and the finals are held on what is there.

    Raises:
        ConfigError: The search is both to end and to go on.
    """

    trials: int | None = None
    retry: bool = False
    finish: bool = False

    def __post_init__(self) -> None:
        if self.finish and self.searches:
            raise ConfigError(
                "--finish holds the finals on what is there, and --trials and --retry add to it; leave out one of them"
            )

    @property
    def searches(self) -> bool:
        """Whether the search is extended."""
        return self.retry or self.trials is not None


UNCHANGED = Extension()


def extended(config: Config, trials: Sequence[Trial], extension: Extension) -> Config:
    """The config of a run that is extended, of which nothing is written yet.

    Args:
        config: The run's config.
        trials: The trials of its search.
        extension: The extension.

    Raises:
        RunError: The extension asks for nothing that is not there already, or for finals without a score.
    """
    there = num_candidates(trials)
    if extension.finish and not num_scored(trials):
        raise RunError("no candidate is scored yet, so that there are no finals to hold; leave out --finish")
    if extension.retry and not _failed(trials):
        raise RunError("no candidate failed, or each was evaluated again already; leave out --retry")
    if extension.trials is None:
        return config
    if extension.trials <= there:
        raise RunError(f"--trials {extension.trials}: the run has {there} candidates already; give more than these")
    return config.model_copy(update={"search": config.search.model_copy(update={"trials": extension.trials})})


def extend(store: Store, extension: Extension) -> None:
    """Writes an extension to a run's store: its config, and its failed trials as pending ones of new numbers.

    The final result is withdrawn, as new finals will be held. That the test tasks were used stays recorded.
    """
    trials = store.trials()
    if extension.finish and store.get(FINAL) is None:
        store.put(ENDED, FINISHED)
    if not extension.searches:
        return
    records: dict[str, Any] = {FINAL: None, ENDED: None, SPENT: 0.0}
    if store.items(f"{MEASURED}test/"):
        records[TESTED] = store.get(TESTED) or [num_scored(trials)]  # Earlier versions did not record it.
        log.warning("this run's finals have used the test tasks before; the new finals use them again")
    if extension.trials is not None:
        meta = store.meta
        config = meta["config"]
        meta["config"] = {**config, "search": {**config.get("search", {}), "trials": extension.trials}}
        records["meta"] = meta
    store.put_all(records)
    for trial in _failed(trials) if extension.retry else []:
        store.retry(trial)


def note_test(store: Store) -> None:
    """Records that finals come to the test tasks, once for each number of scored trials."""
    tested, scored = store.get(TESTED) or [], num_scored(store.trials())
    if scored not in tested:
        store.put(TESTED, [*tested, scored])


def notes(store: Store, wanted: int) -> list[str]:
    """What a result must say of a search that was ended or extended.

    Args:
        store: The run's store.
        wanted: Candidates that its config asks for.
    """
    ended, tested = store.get(ENDED), store.get(TESTED) or []
    text = []
    if ended is not None:
        text.append(
            f"the search ended after {num_candidates(store.trials())} of {wanted} candidates ({ended['reason']})"
        )
    if len(tested) > 1:
        text.append(
            f"this run was extended: its finals used the test tasks before, after {' and '.join(map(str, tested[:-1]))}"
            " scored trials, and a decision to go on that was made by their result favours the winner"
        )
    return text


def num_scored(trials: Sequence[Trial]) -> int:
    """Number of trials with a score of their own."""
    return sum(trial.score is not None for trial in without_duplicates(trials))


def _failed(trials: Sequence[Trial]) -> list[Trial]:
    """The failed trials that no later trial evaluates again, or again without success."""
    new = without_duplicates(trials)
    last = {trial.number if trial.retry_of is None else trial.retry_of: trial for trial in new}
    return [trial for trial in last.values() if trial.state == "failed"]
