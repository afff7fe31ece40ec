"""Tables and lines that a terminal shows of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..analysis.final_result import KIND
from ..trial import Trial
from . import coverage, random_control
from .formatting import EQUAL, mflops, probability

Z95 = 1.96


def score_text(trial: Trial) -> str:
    """'0.871 ± .009': a trial's score with the half-width of its 95 % interval over tasks."""
    if trial.score is None:
        return "–"
    return f"{trial.score.value:.3f} ± {Z95 * trial.score.stderr:.3f}".replace("± 0.", "± .")


def final_text(final: Mapping[str, Any]) -> str:
    """The finals as a table: finalists, winner, baseline, their difference, and what to know of them."""
    if final["kind"] == KIND:
        return _table_text(final)
    percent = final["kind"] == "classification"
    listed = ", ".join(f"#{f['number']} {_number(f['value'], percent)}" for f in final["finalists"])
    lines = [f"Finalists, re-measured on fresh tasks with {_seeds(final['finalists'])}: {listed}"]
    median = final["median"]
    if median is not None:
        lines.append(
            f"The search's median candidate, on the same tasks: #{median['number']} "
            f"{_number(median['value'], percent)}; the winner is {_apart(median['difference'], percent)} better"
        )
    measure = "test accuracy" if percent else "test −MSE"
    lines.append(f"{'':<20}{measure:>14}{'95 % interval':>22}{'parameters':>13}{'MFLOPs':>9}")
    roles = {"winner": "winner #{number}", "baseline": "{name} baseline", "control": "{name} control #{number}"}
    for role in roles if random_control.has_result(final) else ("winner", "baseline"):
        entry = final.get(role)
        if entry is None:
            lines.append(f"{role:<20}{'failed':>14}")
            continue
        lines.append(
            f"{roles[role].format(**entry):<20}{_number(entry['value'], percent):>14}{_interval(entry, percent):>22}"
            f"{entry['parameters'] or 0:>13,.0f}{mflops(entry):>9}"
        )
    apart = {"difference": final.get("difference"), "winner − random": (final.get("control") or {}).get("difference")}
    lines += [_difference(name, found, final["tasks"], percent) for name, found in apart.items() if found]
    return "\n".join([*lines, *_notes(final, percent)])


def _table_text(final: Mapping[str, Any]) -> str:
    """The result of a search of a table."""
    lines = []
    for role in ("winner", "control") if random_control.has_result(final) else ("winner",):
        entry = final[role]
        named = f"random control #{entry['number']}" if role == "control" else f"winner #{entry['number']}"
        lines.append(f"{named}: {entry['search_value']:.4f} in the search, reported {entry['value']:.4f}")
    return "\n".join([*lines, random_control.words(final, False)])


def _seeds(finalists: Sequence[Mapping[str, Any]]) -> str:
    """'3 seeds', or '6, 6 and 3 seeds' where the finalists were not measured equally often."""
    counts = [len(entry["seeds"]) for entry in finalists]
    if len(set(counts)) > 1:
        return f"{', '.join(map(str, counts[:-1]))} and {counts[-1]} seeds"
    return f"{counts[0]} seed{'s' if counts[0] > 1 else ''}"


def _difference(name: str, apart: Mapping[str, Any], tasks: int, percent: bool) -> str:
    scale, digits = (100, 1) if percent else (1, 3)
    shown = f"{scale * apart['value']:+.{digits}f}"
    note = f"   ({tasks} test tasks, paired{probability(apart.get('p_value'))})"
    return f"{name:<20}{shown:>14}{_interval(apart, percent, signed=True):>22}{note}"


def _notes(final: Mapping[str, Any], percent: bool) -> Iterator[str]:
    """What there is to say of the control, what the intervals cover; that the numbers rest on little, and what failed,
    where there are such."""
    yield random_control.words(final, percent)
    tested = {role: final.get(role) for role in ("winner", "baseline", "control", "difference")}
    measured = {role: entry for role, entry in tested.items() if entry and "error" not in entry}
    yield from coverage.sentences(measured, percent)
    if final.get("warning"):
        yield f"warning: {final['warning']}"
    yield from (f"{failure['measurement']} failed: {failure['error']}" for failure in final["failures"])


def _apart(difference: Mapping[str, Any], percent: bool) -> str:
    scale, digits = (100, 1) if percent else (1, 3)
    return f"{scale * difference['value']:+.{digits}f} ({_interval(difference, percent, signed=True)})"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def _interval(entry: Mapping[str, Any], percent: bool, *, signed: bool = False) -> str:
    if entry.get("stderr") == 0:
        return EQUAL
    scale, digits = (100, 1) if percent else (1, 3)
    low, high = (f"{scale * bound:{'+' if signed else ''}.{digits}f}" for bound in entry["interval"])
    return f"{low} – {high}" if percent or signed else f"{low} to {high}"


def progress_text(summary: Mapping[str, Any]) -> str:
    """How far a run's summary says that its search has come, and what it cost."""
    config = summary["config"]
    new = [t for t in summary["trials"] if t["repeats"] is None]
    finished = [t for t in new if t["state"] != "pending"]
    lowest = min((t["budget"] for t in summary["trials"]), default=0)
    candidates = _candidates(summary["trials"])
    text = f"{candidates} of {config['search']['trials']} candidates"
    if len(new) < len(summary["trials"]):
        text += f", {repeats_text(len(summary['trials']) - len(new))}"
    if summary.get("control"):
        text += f", {_candidates(summary['control']['trials'])} of the random control"
    if config["search"]["fidelity"] is None:
        return text
    full = sum(t["budget"] == lowest for t in finished if t["score"]) * config["evaluator"]["budget"]
    steps = f"{summary['outer_steps']:,} outer steps, {full:,} without rungs"
    promoted = len(finished) - candidates
    return f"{text}, {promoted} promotion{'' if promoted == 1 else 's'}; {steps}"


def _candidates(trials: Sequence[Mapping[str, Any]]) -> int:
    """How many were evaluated: neither repeats nor promotions."""
    lowest = min((t["budget"] for t in trials), default=0)
    return sum(t["budget"] == lowest and t["repeats"] is None and t["state"] != "pending" for t in trials)


def repeats_text(count: int) -> str:
    return f"{count} repeat{'' if count == 1 else 's'}"


def trials_text(trials: Sequence[Mapping[str, Any]], *, most: int = 20) -> str:
    """The best trials of a run's summary as a table, those of higher budgets first, the failures by their reasons;
    without repeats."""
    trials = [t for t in trials if t["repeats"] is None]
    done = sorted((t for t in trials if t["score"]), key=lambda t: (-t["budget"], -t["score"]["value"]))
    lines = [f"{'trial':>6}{'score':>9}{'95 % ±':>9}{'budget':>8}{'parameters':>12}{'MFLOPs':>9}{'seconds':>9}  key"]
    for trial in done[:most]:
        score = trial["score"]
        size = score["metrics"]
        lines.append(
            f"{'#' + str(trial['number']):>6}{score['value']:>9.4f}{Z95 * score['stderr']:>9.4f}{trial['budget']:>8}"
            f"{size.get('parameters', 0):>12,.0f}{mflops(size):>9}{trial['seconds']:>9.1f}"
            f"  {trial['key']}"
        )
    if len(done) > most:
        lines.append(f"… and {len(done) - most} more; all with --json")
    failed = [t for t in trials if t["state"] == "failed"]
    lines += [f"#{t['number']} failed: {t['error']}" for t in failed[:most]]
    return "\n".join(lines)
