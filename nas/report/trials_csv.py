"""Trials of a run as comma-separated values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from ..analysis.run_summary import TakenOptions
from ..trial import Trial


def trials_csv(trials: Sequence[Trial], options: TakenOptions) -> str:
    """One line a trial below a heading, in the order of proposal.

    After the trial's own values, a column `choice:NAME` has the option that it took (a text, number or JSON), and a
    column `metric:NAME` a metric of its score; both are empty where a trial has none. Where some options are not known,
    columns `index:NAME` have the indices of all.

    Args:
        trials: The trials.
        options: The options that they took.
    """
    indices = sorted({name for trial in trials for name in trial.architecture.picks}) if options.problem else []
    taken = [options.of(trial.architecture) or {} for trial in trials]
    choices = sorted({name for each in taken for name in each})
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
    columns = {"choice": choices, "index": indices, "metric": metrics}
    writer.writerow([*own, *(f"{kind}:{name}" for kind, names in columns.items() for name in names)])
    for trial, each in zip(trials, taken, strict=True):
        score = trial.score
        values = [trial.number, trial.architecture.key, trial.state, trial.duplicate_of, trial.retry_of, trial.budget]
        values += [trial.seed, *((score.value, score.stderr) if score else (None, None)), trial.seconds, trial.error]
        values += [_text(each[name]) if name in each else None for name in choices]
        values += [trial.architecture.picks.get(name) for name in indices]
        writer.writerow([*values, *((score.metrics if score else {}).get(name) for name in metrics)])
    return text.getvalue()


def _text(option: Any) -> str:
    """An option in a cell of the table."""
    return option if isinstance(option, str) else json.dumps(option, ensure_ascii=False)
