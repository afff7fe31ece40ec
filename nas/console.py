"""What a person sees of a run: a header, a progress bar, tables. Progress goes to standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from . import own, registry
from .architecture import Trial
from .config import Config
from .lookup import KIND
from .repeats import evaluated
from .report import control, coverage
from .report.text import EQUAL, mflops, probability
from .runs import Run

Z95 = 1.96


class Left(ProgressColumn):
    """The time left, from the rate so far."""

    def render(self, task: Task) -> Text:
        seconds = task.time_remaining
        return Text("" if seconds is None or task.finished else f"{int(seconds) // 60}:{int(seconds) % 60:02} left")


class TerminalProgress:
    """Tells of a run on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (BarColumn(30), TextColumn("{task.description}"), Left())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID | None = None
        self._measuring: TaskID | None = None
        self._comparing: TaskID | None = None
        self._of = 0
        self._lowest = 0
        self._heard = 0
        self._failed = 0
        self._repeats = 0

    @contextmanager
    def shown(self) -> Iterator[TerminalProgress]:
        with self._bar:
            yield self

    def started(self, run: Run, config: Config, done: Sequence[Trial], workers: int) -> None:
        self._say(header(config, workers))
        self._of = config.search.trials
        if config.search.workers not in ("auto", workers):
            self._say(f"search.workers is {config.search.workers}; a table is looked up one candidate after the other")
        if self._of < workers:
            self._say(
                f"search.trials is {self._of}: no more than {self._of} of the {workers} workers are busy at a time"
            )
        self._lowest = config.budgets[0]
        new = evaluated(done)
        self._heard, self._repeats = len(new), len(done) - len(new)
        self._failed = sum(trial.state == "failed" for trial in new)
        candidates = sum(map(self._is_candidate, new))
        self._task = self._bar.add_task(f"{candidates}/{self._of}", total=self._of, completed=candidates)
        if done:
            self._say(f"{run.name}: {candidates} candidates were done before")

    def trial(self, trial: Trial, best: Trial) -> None:
        assert self._task is not None
        if trial.repeats is None:
            self._heard += 1
            self._failed += trial.state == "failed"
            self._bar.advance(self._task, self._is_candidate(trial))
        else:
            self._repeats += 1
        done = int(self._bar.tasks[self._task].completed)
        parts = [f"{done}/{self._of}", f"best {score_text(best)} (#{best.number})" if best.score else "none scored yet"]
        if self._heard > done:
            parts.append(f"promoted {self._heard - done}")
        parts += [_repeats(self._repeats)] if self._repeats else []
        text = "   ".join([*parts, f"failed {self._failed}"])
        self._bar.update(self._task, description=text)
        if trial.repeats is not None:
            return
        if trial.score and "chunk" in trial.score.metrics:
            tasks = int(trial.score.metrics["chunk"])
            self._say(f"#{trial.number}: memory ran out; it went on with {tasks} tasks at once")
        if trial.state == "failed":
            self._say(f"#{trial.number} failed: {trial.error}")
        elif self._bar.disable and (self._heard % 10 == 0 or done == self._of):
            self._say(text)

    def searched(self, done: int, of: int) -> None:
        """How many of a comparison's searches have ended."""
        if self._comparing is None:
            self._comparing = self._bar.add_task("", total=of)
        self._bar.update(self._comparing, completed=done, description=f"{done}/{of} searches")
        if self._bar.disable and (done == of or done % max(1, of // 10) == 0):
            self._say(f"{done}/{of} searches")

    def measured(self, done: int, of: int) -> None:
        if self._measuring is None or self._bar.tasks[self._measuring].finished:
            self._measuring = self._bar.add_task("", total=of)
        self._bar.update(self._measuring, completed=done, description=f"{done}/{of} final measurements")

    def _is_candidate(self, trial: Trial) -> bool:
        """Not a promotion: the bar counts candidates, for how many will be promoted is not known."""
        return trial.budget <= self._lowest

    def exhausted(self) -> None:
        assert self._task is not None
        found = int(self._bar.tasks[self._task].completed)
        repeats = f", {_repeats(self._repeats)}" if self._repeats else ""
        self._say(f"the controller proposes nothing new: {found} of {self._of} candidates{repeats}")

    def stopping(self) -> None:
        self._say("stopping: what is running is finished and stored; press Ctrl-C again to stop at once")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)  # a line of a log stays one line


def header(config: Config, workers: int) -> str:
    """One line on what is searched, on what, by whom, how much, and where."""
    rungs = f", rungs of {' → '.join(map(str, config.budgets))} outer steps" if len(config.budgets) > 1 else ""
    where = {"cpu": "on the CPU", "auto": ""}.get(config.search.device, f"on {config.search.device}")
    return " · ".join(
        [
            f"{own.shortened(config.space.name)}{_of_tasks(config)}",
            own.shortened(config.controller.name),
            f"{config.search.trials} candidate{'s' if config.search.trials > 1 else ''}{_limit(config)}{rungs}",
            f"{workers} worker{'s' if workers > 1 else ''} {where}".rstrip(),
        ]
    )


def _of_tasks(config: Config) -> str:
    if config.tasks is None:
        return f", {config.evaluator.name}"
    family = registry.create("tasks", config.tasks.name, config.tasks.options)
    shots = f" {family.shots}-shot" if hasattr(family, "shots") else ""
    ways = f" {family.shape.num_outputs}-way" if family.shape.kind == "classification" else ""
    return f" on {config.tasks.name}" + (f",{ways}{shots}" if ways or shots else "")


def _limit(config: Config) -> str:
    return f" or {config.search.seconds:,.12g} s of evaluations" if config.search.seconds else ""


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
    for role in roles if control.has_result(final) else ("winner", "baseline"):
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
    for role in ("winner", "control") if control.has_result(final) else ("winner",):
        entry = final[role]
        named = f"random control #{entry['number']}" if role == "control" else f"winner #{entry['number']}"
        lines.append(f"{named}: {entry['search_value']:.4f} in the search, reported {entry['value']:.4f}")
    return "\n".join([*lines, control.words(final, False)])


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
    yield control.words(final, percent)
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
        text += f", {_repeats(len(summary['trials']) - len(new))}"
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


def _repeats(count: int) -> str:
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
