"""Several runs in one page: their results in a table, their intervals, and the paired differences of their winners."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..analysis.comparison import holm
from ..analysis.intervals import Estimate, compare
from ..analysis.ranking import anytime, best, comparable
from ..analysis.run_summary import RunSummary
from ..analysis.seed_variance import SeedPool
from ..errors import NasError
from ..trial import Score
from . import figures
from .formatting import NONE, interval_of, number, probability, sizes
from .interval_figures import Row, means
from .outcome import compared
from .page import Chart
from .rendering import rendered
from .tables import Table


@dataclass(frozen=True)
class ShownRun:
    """Run of the page, with the scores of its winner on the test tasks, one a seed, as far as there are such."""

    summary: RunSummary
    scores: Sequence[Score] = ()


@dataclass(frozen=True)
class RunsPage:
    """Contents of the page.

    Attributes:
        name: Title of the page.
        headline: How the winners compare, in one sentence.
        runs: A row for each run.
        differences: The paired differences of the winners.
        refusals: Why winners cannot be compared.
        charts: Charts of the runs' results.
        configs: What the configs differ in.
    """

    name: str
    headline: str
    runs: Table
    differences: Table | None
    refusals: Sequence[str]
    charts: Sequence[Chart]
    configs: Table | None


def html_text(runs: Sequence[ShownRun], *, live: bool = False) -> str:
    """The page of several runs.

    Args:
        runs: The runs.
        live: Whether the page is served while they go on.
    """
    finals = [run.summary.final for run in runs if run.summary.final is not None]
    percent = bool(finals) and all(final.percent for final in finals)
    differences, refusals = _differences(runs, percent)
    page = RunsPage(
        name=", ".join(run.summary.name for run in runs),
        headline=_headline(runs, differences, percent),
        runs=_table(runs, percent),
        differences=_difference_table(differences, percent),
        refusals=refusals,
        charts=_charts(runs, differences, percent),
        configs=_configs({run.summary.name: run.summary.config for run in runs}),
    )
    return rendered(page, "runs.html.j2", live=live)


Differences = Mapping[tuple[str, str], Estimate]
"""By the names of two runs, by how much the winner of the first is better, with p-values corrected for all pairs."""


def _differences(runs: Sequence[ShownRun], percent: bool) -> tuple[Differences, list[str]]:
    """The differences of the winners, and why others cannot be compared."""
    found: dict[tuple[str, str], Estimate] = {}
    refusals = []
    for one, other in itertools.combinations(runs, 2):
        names = one.summary.name, other.summary.name
        untested = [run.summary.name for run in (one, other) if not run.scores]
        if untested:
            refusals.append(f"{' and '.join(names)} cannot be compared: {untested[0]} has no tested winner.")
            continue
        try:
            pool = SeedPool.of_scores([{names[0]: one.scores, names[1]: other.scores}], accuracy=percent)
            found[names] = compare(one.scores, other.scores, accuracy=percent, pool=pool)
        except NasError as error:
            refusals.append(f"{' and '.join(names)} cannot be compared: {error}.")
    corrected = holm([difference.p_value or 0.0 for difference in found.values()])
    pairs = zip(found.items(), corrected, strict=True)
    return {names: replace(difference, p_value=p) for (names, difference), p in pairs}, refusals


def _headline(runs: Sequence[ShownRun], differences: Differences, percent: bool) -> str:
    if not differences:
        return f"The winners of these {len(runs)} runs cannot be compared."
    sentences = (
        f"the winner of {one} shows {text}" if text.startswith("no ") else f"the winner of {one} is {text}"
        for (one, other), difference in differences.items()
        for text in [compared(difference, f"that of {other}", percent)]
    )
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}."


def _table(runs: Sequence[ShownRun], percent: bool) -> Table:
    heads = ["run", "state", "space", "controller", "scored candidates", "best in the search"]
    heads += ["winner's test value", "95 % interval", "parameters", "from its baseline", "from its random control"]
    return Table(heads, [list(_cells(run, percent)) for run in runs], num_numbers=7)


def _cells(run: ShownRun, percent: bool) -> Iterator[str]:
    summary, final = run.summary, run.summary.final
    yield from (summary.name, summary.state)
    for part in ("space", "controller"):
        yield str((summary.config.get(part) or {}).get("name", NONE))
    yield f"{sum(trial.score is not None for trial in comparable(summary.trials)):,}"
    leader = next(iter(best(summary.trials)), None)
    # The scores of a search may be of another kind than the final ones.
    yield NONE if leader is None else number(leader.value, percent and 0 <= leader.value <= 1)
    winner = final.winner if final is not None else None
    control = final.control.best if final is not None and final.control is not None else None
    yield number(winner.value if winner else None, percent)
    yield interval_of(winner.estimate, percent) if winner else NONE
    yield sizes(winner.costs)[0] if winner else NONE
    for difference in (final.difference if final else None, control.difference if control else None):
        yield NONE if difference is None else _signed(difference, percent)


def _signed(difference: Estimate, percent: bool) -> str:
    return f"{number(difference.value, percent, signed=True)} ({interval_of(difference, percent, signed=True)})"


def _difference_table(differences: Differences, percent: bool) -> Table | None:
    rows = [
        [
            f"{one} − {other}",
            number(difference.value, percent, signed=True),
            interval_of(difference, percent, signed=True),
            probability(difference.p_value).removeprefix(", "),
        ]
        for (one, other), difference in differences.items()
    ]
    heads = ["winners", "difference", "95 % interval", "p, corrected for all pairs (Holm)"]
    return Table(heads, rows, num_numbers=3) if rows else None


def _charts(runs: Sequence[ShownRun], differences: Differences, percent: bool) -> list[Chart]:
    label = "accuracy" if percent else "score"
    winners = [(run.summary.name, run.summary.final.winner) for run in runs if run.summary.final is not None]
    values = [Row(name, w.value, w.estimate.interval, w.seeds) for name, w in winners if w is not None]
    apart = [Row(f"{a} − {b}", d.value, d.interval) for (a, b), d in differences.items()]
    curves = {
        run.summary.name: anytime(run.summary.trials)
        for run in runs
        if any(trial.score is not None for trial in run.summary.trials)
    }
    drawn = {
        f"Winners, test {label}": means(values, "Winners on the test tasks", f"test {label}", percent=percent),
        "Differences, paired": means(
            apart, "Differences of the winners", f"difference of the test {label}", percent=percent, zero=True
        ),
        "Best score against evaluations": figures.anytime(curves, label=f"search {label}", percent=percent),
    }
    return [Chart(title, svg) for title, svg in drawn.items() if svg]


def _configs(configs: Mapping[str, Mapping[str, object]]) -> Table | None:
    """The keys in which the configs differ."""
    flat = {name: dict(_flat(config)) for name, config in configs.items()}
    keys = dict.fromkeys(key for entries in flat.values() for key in entries)
    rows = [[key, *(entries.get(key, NONE) for entries in flat.values())] for key in keys]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    return Table(["key", *flat], rows) if rows else None


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", NONE if value is None else str(value)
