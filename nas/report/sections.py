"""The parts of the report, each a piece of HTML, or nothing where the run has not come to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..analysis import ranking
from ..analysis.ranking import comparable, steps_spent
from ..trial import Trial, without_duplicates
from . import coverage, figures
from .formatting import measured, number, probability, sizes, table, value_of

if TYPE_CHECKING:
    import networkx as nx

Final = Mapping[str, Any]
TESTED = ("winner", "baseline", "control")


def header(name: str, trials: Sequence[Trial], best: Trial | None, final: Final, percent: bool, searched: bool) -> str:
    """The run's name, what came of it in figures, and the protocol and provenance of its scores.

    percent   the results are fractions
    searched  so are the scores of the search
    """
    new = without_duplicates(trials)
    count = {state: sum(trial.state == state for trial in new) for state in ("done", "failed", "pending")}
    candidates = sum(trial.state == "done" for trial in comparable(trials))
    cards = [("candidates", f"{candidates:,}"), ("failed", f"{count['failed']:,}")]
    if count["done"] > candidates:
        cards += [("promoted", f"{count['done'] - candidates:,}"), ("outer steps", f"{steps_spent(trials):,}")]
    if len(trials) > len(new):
        cards.append(("repeats, not evaluated again", f"{len(trials) - len(new):,}"))
    if count["pending"]:
        cards.append(("unfinished", f"{count['pending']:,}"))
    score = best.score if best is not None else None
    if best is not None and score is not None:
        shown = f"{number(score.value, searched)} ± {number(score.stderr, searched, bare=True)}"
        cards.append((f"best in the search, #{best.number}", shown))
    median = final.get("median")
    if median:
        cards.append(
            (f"the search's median candidate, #{median.get('number', '?')}", number(median.get("value"), percent))
        )
    winner = final.get("winner")
    if winner:
        cards.append((f"winner on test tasks, #{winner.get('number', '?')}", number(value_of(winner), percent)))
    made = {**score.protocol, **score.provenance} if score is not None else {}
    rows = [[key, entry if isinstance(entry, str) else json.dumps(entry, default=str)] for key, entry in made.items()]
    summary = "<summary>Protocol of the scores, and where the best was made</summary>"
    return "".join(
        [
            f'<h1>{escape(name)}</h1><div class="soft">A search for a network that learns from few examples</div>',
            '<div class="cards">',
            *(f'<div class="card"><b>{escape(shown)}</b>{escape(title)}</div>' for title, shown in cards),
            "</div>",
            f"<details>{summary}{table(['', ''], rows)}</details>" if rows else "",
        ]
    )


def results(final: Final, percent: bool) -> str:
    """The winner, the baseline and the control on the test tasks, the paired difference, and what to know of them."""
    difference = final.get("difference")
    classes = any("class_interval" in (final.get(part) or {}) for part in TESTED)
    rows = []
    for part in TESTED:
        result = final.get(part)
        if result and "error" not in result:
            which = f"#{result['number']}" if result.get("number") is not None else ""
            named = " ".join([part, *filter(None, (str(result.get("name") or ""), which))])
            rows.append([named, *measured(result, percent, classes=classes)])
    for of, apart in (("", difference), (" from the control", (final.get("control") or {}).get("difference"))):
        if apart:
            named = f"difference{of}, paired{probability(apart.get('p_value'))}"
            rows.append([named, *measured(apart, percent, signed=True, classes=classes)])
    if not rows:
        return '<p class="soft">No test results yet: the run has not come to its finals.</p>'
    heads = ["", "test accuracy" if percent else "test score", *_intervals(classes), "parameters", "MFLOPs"]
    tested = {part: final.get(part) or {} for part in (*TESTED, "difference")}
    notes = list(coverage.sentences({part: result for part, result in tested.items() if "interval" in result}, percent))
    if final.get("warning"):
        notes.append(f"Warning: {final['warning']}.")
    shown = table(heads, rows, numbers=len(heads) - 1, strong=1 if final.get("winner") else 0)
    return "<h2>On test tasks</h2>" + shown + "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)


def charts(trials: Sequence[Trial], final: Final, percent: bool, searched: bool) -> str:
    """Score over trials, score against parameters, and how the finalists adapt; the flags are as in `header`."""
    label, adapted = ("accuracy" if fractions else "score" for fractions in (searched, percent))
    drawn = [
        ("Score over trials", figures.scores(comparable(trials), label=label, percent=searched)),
        ("Score against parameters", figures.costs(comparable(trials), label=label, percent=searched)),
        ("Best score against evaluations", _anytime(final, label=label, percent=searched)),
        ("How they adapt", figures.curves(_curves(trials, final), label=adapted, percent=percent)),
    ]
    shown = [f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in drawn if svg]
    return f'<h2>The search</h2><div class="charts">{"".join(shown)}</div>' if shown else ""


def _anytime(final: Final, *, label: str, percent: bool) -> str | None:
    """Of the search and its random control; None without control."""
    return figures.anytime((final.get("control") or {}).get("anytime") or {}, label=label, percent=percent)


def cell(final: Final, graph: nx.DiGraph | None) -> str:
    """The winner's cell, or while there is no winner that of the best trial."""
    if graph is None:
        return ""
    whose = "winner" if final.get("winner") else "best candidate so far"
    return f"<h2>The cell of the {whose}</h2><figure>{figures.cell(graph)}</figure>"


def finalists(final: Final, percent: bool) -> str:
    """The finalists as re-measured with several seeds, the winner first, then from the last dropped to the first."""
    rows, entries = [], final.get("finalists") or []
    classes = any("class_interval" in entry for entry in entries)
    for entry in entries:
        # Scores are fractions, seeds themselves whole numbers; either may be listed.
        seeds = [
            str(seed) if isinstance(seed, int) else number(seed, percent, bare=True) for seed in entry.get("seeds", [])
        ]
        told = [f"#{entry.get('number', '?')}", str(entry.get("key", "")), " · ".join(seeds), f"{len(seeds)}"]
        rows.append([*told, *measured(entry, percent, classes=classes)])
    heads = ["trial", "key", "each seed", "measurements", "re-measured", *_intervals(classes), "parameters", "MFLOPs"]
    return f"<h2>Finalists, on fresh validation tasks</h2>{table(heads, rows, numbers=len(heads) - 3)}" if rows else ""


def trials(trials: Sequence[Trial], percent: bool) -> str:
    """Every trial in a table that opens on demand."""
    rows = []
    for trial in trials:
        score, seconds = trial.score, "" if trial.seconds is None else f"{trial.seconds:,.1f}"
        shown = ["", ""] if score is None else [number(score.value, percent), number(score.stderr, percent, bare=True)]
        size = sizes({} if score is None else score.metrics)
        state = trial.state if trial.duplicate_of is None else f"{trial.state}, repeats #{trial.duplicate_of}"
        told = [f"#{trial.number}", trial.architecture.key, state]
        rows.append([*told, f"{trial.budget:,}", *shown, *size, seconds])
    heads = ["trial", "key", "state", "budget", "score", "± standard error", "parameters", "MFLOPs", "seconds"]
    summary = f"<summary>{len(rows):,} in the order of proposal</summary>"
    return f"<h2>All trials</h2><details>{summary}{table(heads, rows, numbers=6)}</details>" if rows else ""


def failures(trials: Sequence[Trial]) -> str:
    """Why candidates failed."""
    failed = [trial for trial in without_duplicates(trials) if trial.state == "failed"]
    rows = [[f"#{trial.number}", trial.architecture.key, trial.error or "no reason was given"] for trial in failed]
    return f"<h2>Failed candidates</h2>{table(['trial', 'key', 'reason'], rows)}" if rows else ""


def _intervals(classes: bool) -> list[str]:
    return ["95 % interval", "same classes", "other classes alone"] if classes else ["95 % interval"]


def _curves(trials: Sequence[Trial], final: Final) -> dict[str, Sequence[float]]:
    """Curves on the test tasks first, then the finalists' own or from the search; without finalists, the best three."""
    tested = {f"{part}, test": (final.get(part) or {}).get("curve") or () for part in TESTED}
    searched = {trial.number: trial.score.curve for trial in trials if trial.score is not None}
    entries = final.get("finalists")
    if entries is None:
        return {**tested, **{f"#{trial.number}": searched[trial.number] for trial in ranking.best(trials, 3)}}
    own = {
        f"#{entry.get('number', '?')}": entry.get("curve") or searched.get(entry.get("number"), ()) for entry in entries
    }
    return {**tested, **own}
