"""Trials of a run as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..trial import Trial


def trials_csv(trials: Sequence[Trial]) -> str:
    """One line a trial below a heading, in the order of proposal.

    After the trial's own values, a column `choice:NAME` has the index of the option that it took, and a column
    `metric:NAME` a metric of its score; both are empty where a trial has none.
    """
    choices = sorted({name for trial in trials for name in trial.architecture.picks})
    metrics = sorted({name for trial in trials if trial.score for name in trial.score.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = [
        "number",
        "key",
        "state",
        "duplicate_of",
        "retry_of",
        "budget",
        "seed",
        "score",
        "stderr",
        "seconds",
        "error",
    ]
    writer.writerow([*own, *(f"choice:{name}" for name in choices), *(f"metric:{name}" for name in metrics)])
    for trial in trials:
        score = trial.score
        values = [trial.number, trial.architecture.key, trial.state, trial.duplicate_of, trial.retry_of, trial.budget]
        values += [trial.seed, *((score.value, score.stderr) if score else (None, None)), trial.seconds, trial.error]
        values += [trial.architecture.picks.get(name) for name in choices]
        writer.writerow([*values, *((score.metrics if score else {}).get(name) for name in metrics)])
    return text.getvalue()
