"""Tables and lines that a terminal shows of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ..analysis.final_result import TABLE, UNKNOWN, FinalResult, Measured
from ..analysis.intervals import Estimate
from ..analysis.ranking import comparable, num_candidates, rank
from ..analysis.run_summary import RunSummary
from ..analysis.units import budget_unit_of
from ..trial import Trial, without_duplicates
from . import attribution, coverage, random_control
from .formatting import TERMINAL, interval_of, listed, mflops, number, probability

WIDE = 80
"""Columns from which on a table has all of its columns."""
WIDEST = 120
"""Columns after which a list is broken also where the terminal is wider."""
BLANK = "\N{NO-BREAK SPACE}"
"""Stands for a space that is not to be broken at."""
Z95 = 1.96
"""The 97.5 % quantile of the standard normal distribution."""


def score_text(trial: Trial) -> str:
    """'0.871 ± .009': a trial's score with the half-width of its 95 % interval over tasks."""
    if trial.score is None:
        return "–"
    return f"{trial.score.value:.3f} ± {Z95 * trial.score.stderr:.3f}".replace("± 0.", "± .")


def final_text(final: FinalResult, width: int = WIDE) -> str:
    """The final result as a table: finalists, winner, baseline, control, their differences, and notes on them.

    Args:
        final: The final result.
        width: Columns of the terminal; below `WIDE` each row of the table takes several lines.
    """
    if final.kind == TABLE:
        return _table_text(final)
    percent = final.percent
    finalists = ", ".join(f"#{entry.number} {_number(entry.value, percent)}" for entry in final.finalists)
    lines = [f"Finalists, re-measured on fresh {final.unit} with {_seeds(final.finalists)}: {finalists}"]
    median = final.median
    if median is not None and median.difference is not None:
        lines.append(
            f"The search's median candidate, on the same {final.unit}: #{median.number} "
            f"{_number(median.value, percent)}; the winner is "
            f"{number(median.difference.value, percent, signed=True, plain=TERMINAL)} "
            f"({interval_of(median.difference, percent, signed=True, plain=TERMINAL)}) better"
        )
    measure = "test accuracy" if percent else "test −MSE"
    if width >= WIDE:
        lines.append(f"{'':<20}{measure:>14}{'95 % interval':>22}{'parameters':>13}{'MFLOPs':>9}")
    else:
        lines.append(f"{measure}, 95 % interval:")
    tested = final.tested
    for role in ("winner", "baseline", "control"):
        if role in tested:
            lines.append(_row(role, tested[role], percent, width))
        elif role != "control":
            lines.append(f"{role:<20}{'failed':>14}")
    control = tested.get("control")
    differences = {"difference": final.difference, "winner − random": control and control.difference}
    lines += [_difference(name, apart, final, width) for name, apart in differences.items() if apart]
    return "\n".join([*lines, *attribution.lines(final), *_notes(final)])


def progress_text(summary: RunSummary) -> str:
    """Progress of a run's search, and its cost."""
    search, evaluator = summary.config["search"], summary.config["evaluator"]
    trials = summary.trials
    candidates = num_candidates(_ended(trials))
    retries = sum(trial.retry_of is not None and trial.state != "pending" for trial in trials)
    text = f"{candidates} of {search['trials']} candidates"
    if summary.search.num_duplicates:
        text += f", {duplicates_text(summary.search.num_duplicates)}"
    if retries:
        text += f", {retries} retr{'y' if retries == 1 else 'ies'}"
    if summary.control is not None:
        text += f", {num_candidates(_ended(summary.control.trials))} of the random control"
    if search["fidelity"] is None:
        return text
    full = sum(trial.score is not None for trial in comparable(trials)) * evaluator["budget"]
    steps = f"{summary.search.outer_steps:,} {budget_unit_of(trials)}, {full:,} without rungs"
    promoted = sum(trial.state != "pending" for trial in without_duplicates(trials)) - candidates - retries
    return f"{text}, {promoted} promotion{'' if promoted == 1 else 's'}; {steps}"


def duplicates_text(count: int) -> str:
    """'2 duplicates': a number of them."""
    return f"{count} duplicate{'' if count == 1 else 's'}"


def trials_text(trials: Sequence[Trial], *, most: int = 20, width: int = WIDE) -> str:
    """The best trials as a table, those of higher budgets first, and the failures with their reasons.

    Args:
        trials: Trials of a search; duplicates are left out.
        most: Most trials, and most failures, that are listed.
        width: Columns of the terminal; below `WIDE` the table has fewer columns.
    """
    trials = without_duplicates(trials)
    done = sorted((trial for trial in trials if trial.score is not None), key=rank)
    space, costs, key = (9, f"{'parameters':>12}{'MFLOPs':>9}", "  key") if width >= WIDE else (8, "", "")
    heads = [f"{'trial':>6}{'score':>{space}}{'95 % ±':>9}{'budget':>{space - 1}}{costs}{'seconds':>9}{key}"]
    lines = heads if done else ["No trial has a score yet."]
    for trial in done[:most]:
        metrics = trial.score.metrics if trial.score is not None else {}
        costs = f"{metrics.get('parameters', 0):>12,.0f}{mflops(metrics):>9}" if width >= WIDE else ""
        lines.append(
            f"{f'#{trial.number}':>6}{trial.value:>{space}.4f}{Z95 * trial.stderr:>9.4f}{trial.budget:>{space - 1}}"
            f"{costs}{trial.seconds or 0.0:>9.1f}" + (f"  {trial.architecture.key}" if width >= WIDE else "")
        )
    if len(done) > most:
        lines.append(f"… and {len(done) - most} more; all with --json")
    failed = [trial for trial in trials if trial.state == "failed"]
    lines += [f"{_name(trial)} failed: {trial.error}" for trial in failed[:most]]
    return "\n".join(lines)


def choices_lines(summary: RunSummary, width: int = WIDE) -> Iterator[str]:
    """The options that the winner took or, before there is one, the best trial; none for a run without a score.

    Args:
        summary: The run, with options.
        width: Columns of the terminal.
    """
    winner, best = summary.final.winner if summary.final is not None else None, summary.best
    architecture = winner.architecture if winner is not None else None if best is None else best.architecture
    number = winner.number if winner is not None else None if best is None else best.number
    if architecture is None or architecture == UNKNOWN:
        return
    options = summary.options.of(architecture)
    if options is None:
        options = {choice: f"option {index}" for choice, index in architecture.picks.items()}
        problem = summary.options.problem or "this run has no trial of it"
        yield f"Options are shown by their numbers, counted from 0: {problem}."
    yield f"Choices of {'the winner' if winner is not None else 'the best so far'}, #{number}:"
    shown = "  ".join(_printable(f"{choice}={option}").replace(" ", BLANK) for choice, option in options.items())
    lines = textwrap.wrap(
        shown or "none to make", min(width, WIDEST), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    yield from (line.replace(BLANK, " ") for line in lines)


def _printable(text: str) -> str:
    """A text without characters that could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _ended(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state != "pending"]


def _name(trial: Trial) -> str:
    return f"#{trial.number}" + (f" (#{trial.retry_of} again)" if trial.retry_of is not None else "")


def _table_text(final: FinalResult) -> str:
    """The final result of a search that a table scored."""
    names = {"winner": "winner", "control": "random control"}
    lines = [
        f"{names[role]} #{entry.number}: {entry.search_value:.4f} in the search, reported {entry.value:.4f}"
        for role, entry in final.tested.items()
        if role in names
    ]
    return "\n".join([*lines, random_control.text(final), *([f"warning: {final.warning}"] if final.warning else [])])


def _row(role: str, entry: Measured, percent: bool, width: int) -> str:
    names = {"winner": f"winner #{entry.number}", "baseline": f"{entry.name} baseline"}
    name = names.get(role, f"{entry.name} control #{entry.number}")
    shown = interval_of(entry.estimate, percent, plain=TERMINAL)
    if width < WIDE:
        costs = f"{entry.parameters or 0:,.0f} parameters, {mflops(entry.costs)} MFLOPs"
        return f"{name}: {_number(entry.value, percent)} ({shown})\n  {costs}"
    return f"{name:<20}{_number(entry.value, percent):>14}{shown:>22}{entry.parameters or 0:>13,.0f}" + (
        f"{mflops(entry.costs):>9}"
    )


def _difference(name: str, apart: Estimate, final: FinalResult, width: int) -> str:
    value = number(apart.value, final.percent, signed=True, plain=TERMINAL)
    shown = interval_of(apart, final.percent, signed=True, plain=TERMINAL)
    note = f"   ({final.tasks} test {final.unit}, paired{probability(apart.p_value)})"
    if width < WIDE:
        return f"{name}: {value} ({shown})\n{note[1:]}"
    return f"{name:<20}{value:>14}{shown:>22}{note}"


def _seeds(finalists: Sequence[Measured]) -> str:
    """'3 seeds', or '6, 6 and 3 seeds' where the finalists were not measured equally often."""
    counts = [len(entry.seeds) for entry in finalists]
    if len(set(counts)) > 1:
        return f"{listed([str(count) for count in counts])} seeds"
    return f"{counts[0]} seed{'s' if counts[0] > 1 else ''}"


def _notes(final: FinalResult) -> Iterator[str]:
    """The control, what the intervals cover, that the numbers rest on too little, and what failed."""
    yield random_control.text(final)
    yield from coverage.sentences(final)
    if final.warning:
        yield f"warning: {final.warning}"
    yield from (f"{failure.measurement} failed: {failure.error}" for failure in final.failures)


def _number(value: float, percent: bool) -> str:
    return number(value, percent, plain=TERMINAL)
