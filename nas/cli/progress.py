"""Progress of a run on standard error: a panel on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ..analysis import ranking
from ..config.schema import Config
from ..protocols.tasks import FewShot, Labelled
from ..registry import components, user_files
from ..report.terminal import duplicates_text, score_text
from ..runs.folder import RunFolder
from ..trial import Trial, without_duplicates
from .panel import LATEST, RunView, panel_text

SAY_AFTER_S = 3.0
"""Seconds after which a check before a search is named."""
MOST_WARNINGS = 3
"""Latest warnings that the panel shows."""


class TimeLeft(ProgressColumn):
    """Column of a progress bar: the time left, from the rate so far."""

    def render(self, task: Task) -> Text:
        seconds = task.time_remaining
        return Text("" if seconds is None or task.finished else f"{int(seconds) // 60}:{int(seconds) % 60:02} left")


class TerminalProgress:
    """Receiver of a run's events: a panel below a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (BarColumn(30), TextColumn("{task.description}"), TimeLeft())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID | None = None
        self._measuring: TaskID | None = None
        self._comparing: TaskID | None = None
        self._trials = 0
        self._lowest_budget = 0
        self._evaluated = 0
        self._failed = 0
        self._duplicates = 0
        self._before = 0
        self._since = self._finals_since = time.monotonic()
        self._running: Mapping[int, float] = {}
        self._view = RunView(0)
        self._waiting: threading.Timer | None = None

    @contextmanager
    def shown(self) -> Iterator[TerminalProgress]:
        """Shows panel and warnings until the context ends."""
        handler = _Warnings(self._warn)
        logger = logging.getLogger("nas")
        logger.addHandler(handler)
        try:
            with (
                nullcontext()
                if self._bar.disable
                else Live(get_renderable=self._panel, console=self._console, refresh_per_second=2)
            ):
                yield self
                self._view = replace(self._view, finals_s=0.0)  # What remains on the screen has no time left.
        finally:
            self._stop_waiting()
            logger.removeHandler(handler)

    def checking(self, what: str) -> None:
        """Says what is being checked, once the check has taken SAY_AFTER_S."""
        self._stop_waiting()
        self._waiting = threading.Timer(SAY_AFTER_S, self._say, (f"checking {what} …",))
        self._waiting.daemon = True
        self._waiting.start()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting.join()  # a line that has begun is written to its end
            self._waiting = None

    def started(self, run: RunFolder, config: Config, done: Sequence[Trial], workers: int) -> None:
        """Prints the header of a run, of which the trials `done` were made before."""
        self._stop_waiting()
        self._say(header(config, workers))
        self._trials = config.search.trials
        if config.search.workers not in ("auto", workers):
            self._say(f"search.workers is {config.search.workers}; a table is looked up one candidate after the other")
        if self._trials < workers:
            self._say(
                f"search.trials is {self._trials}: no more than {self._trials} of the {workers} workers are busy at a "
                "time"
            )
        self._lowest_budget = config.budgets[0]
        new = without_duplicates(done)
        self._evaluated, self._duplicates = len(new), len(done) - len(new)
        self._failed = sum(trial.state == "failed" for trial in new)
        candidates = sum(map(self._is_candidate, new))
        self._before, self._since, self._running = candidates, time.monotonic(), {}
        self._view = RunView(
            self._trials,
            leader=next(iter(ranking.best(new)), None),
            latest=new[-LATEST:],
            warnings=self._view.warnings,
        )
        self._task = self._bar.add_task(f"{candidates}/{self._trials}", total=self._trials, completed=candidates)
        if done:
            self._say(f"{run.name}: {candidates} candidates were done before")

    def running(self, started: Mapping[int, float], finals_s: float) -> None:
        """Shows the trials that are being evaluated."""
        self._running = started
        self._view = replace(self._view, finals_s=finals_s)

    def trial(self, trial: Trial, best: Trial) -> None:
        """Counts a trial that has ended."""
        assert self._task is not None
        self._running = {number: start for number, start in self._running.items() if number != trial.number}
        if trial.duplicate_of is None:
            self._evaluated += 1
            self._failed += trial.state == "failed"
            self._bar.advance(self._task, self._is_candidate(trial))
        else:
            self._duplicates += 1
        latest = [*self._view.latest, trial][-LATEST:] if trial.duplicate_of is None else self._view.latest
        self._view = replace(self._view, leader=best, latest=latest)
        done = int(self._bar.tasks[self._task].completed)
        leader = f"best {score_text(best)} (#{best.number})" if best.score else "none scored yet"
        parts = [f"{done}/{self._trials}", leader]
        if self._evaluated > done:
            parts.append(f"promoted {self._evaluated - done}")
        parts += [duplicates_text(self._duplicates)] if self._duplicates else []
        text = "   ".join([*parts, f"failed {self._failed}"])
        self._bar.update(self._task, description=text)
        if trial.duplicate_of is not None:
            return
        if trial.score and trial.score.tasks_at_once is not None:
            self._say(f"#{trial.number}: memory ran out; it went on with {trial.score.tasks_at_once} tasks at once")
        if trial.state == "failed":
            self._say(f"#{trial.number} failed: {trial.error}")
        elif self._bar.disable and (self._evaluated % 10 == 0 or done == self._trials):
            self._say(text)

    def searched(self, done: int, of: int) -> None:
        """Shows how many of a comparison's searches have ended."""
        if self._comparing is None:
            self._comparing = self._bar.add_task("", total=of)
        self._bar.update(self._comparing, completed=done, description=f"{done}/{of} searches")
        if self._bar.disable and (done == of or done % max(1, of // 10) == 0):
            self._say(f"{done}/{of} searches")

    def measured(self, done: int, of: int) -> None:
        """Shows how many of the final measurements have ended."""
        if self._view.measuring is None:
            self._finals_since = time.monotonic()
        self._view = replace(self._view, measuring=(done, of))
        if self._measuring is None or self._bar.tasks[self._measuring].finished:
            self._measuring = self._bar.add_task("", total=of)
        self._bar.update(self._measuring, completed=done, description=f"{done}/{of} final measurements")

    def _is_candidate(self, trial: Trial) -> bool:
        """Whether a trial is no promotion or retry. The bar counts candidates: how many others come is not known."""
        return trial.budget <= self._lowest_budget and trial.retry_of is None

    def exhausted(self) -> None:
        """Says that the controller has proposed all that it can."""
        assert self._task is not None
        done = int(self._bar.tasks[self._task].completed)
        duplicates = f", {duplicates_text(self._duplicates)}" if self._duplicates else ""
        self._say(f"the controller proposes nothing new: {done} of {self._trials} candidates{duplicates}")

    def stopping(self) -> None:
        """Says that the run ends after what is running."""
        self._say("stopping: what is running is finished and stored; press Ctrl-C again to stop at once")

    def _panel(self) -> RenderableType:
        """The bar and the panel as they are now. Another thread calls this."""
        now, view = time.monotonic(), self._view
        left = max(0.0, view.finals_s - (now - self._finals_since)) if view.measuring else view.finals_s
        done = 0 if self._task is None else int(self._bar.tasks[self._task].completed)
        view = replace(
            view,
            done=done,
            failed=self._failed,
            duplicates=self._duplicates,
            running={number: time.time() - start for number, start in self._running.items()},
            seconds=now - self._since,
            candidates=done - self._before if view.measuring is None else 0,
            finals_s=left,
        )
        text = panel_text(view, self._console.width) if view.wanted else ""
        return Group(self._bar.get_renderable(), Text(text))

    def _warn(self, text: str) -> None:
        self._view = replace(self._view, warnings=(*self._view.warnings, text)[-MOST_WARNINGS:])
        if self._bar.disable:
            self._say(f"warning: {text}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)  # a line of a log stays one line


class _Warnings(logging.Handler):
    """Passes logged warnings on, each text once: several parts of a run may notice the same."""

    def __init__(self, receive: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._receive = receive
        self._passed = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._passed:
            self._passed.add(text)
            self._receive(text)


def header(config: Config, workers: int) -> str:
    """One line on a run: search space, tasks, controller, number of candidates, workers and device."""
    budgets = " → ".join(map(str, config.budgets))
    rungs = f", rungs of {budgets} {_budget_unit(config)}" if len(config.budgets) > 1 else ""
    where = {"cpu": "on the CPU", "auto": ""}.get(config.search.device, f"on {config.search.device}")
    return " · ".join(
        [
            f"{user_files.shortened(config.space.name)}{_tasks_text(config)}",
            user_files.shortened(config.controller.name),
            f"{config.search.trials} candidate{'s' if config.search.trials > 1 else ''}{_limit(config)}{rungs}",
            f"{workers} worker{'s' if workers > 1 else ''} {where}".rstrip(),
        ]
    )


def _budget_unit(config: Config) -> str:
    table = config.tasks
    labelled = table is not None and isinstance(components.create("tasks", table.name, table.options), Labelled)
    return "epochs" if labelled else "outer steps"


def _tasks_text(config: Config) -> str:
    if config.tasks is None:
        return f", {config.evaluator.name}"
    family = components.create("tasks", config.tasks.name, config.tasks.options)
    shots = f" {family.shots}-shot" if isinstance(family, FewShot) else ""
    if isinstance(family, Labelled):
        return f" on {user_files.shortened(config.tasks.name)}"
    ways = f" {family.shape.num_outputs}-way" if family.shape.kind == "classification" else ""
    return f" on {user_files.shortened(config.tasks.name)}" + (f",{ways}{shots}" if ways or shots else "")


def _limit(config: Config) -> str:
    return f" or {config.search.seconds:,.12g} s of evaluations" if config.search.seconds else ""
