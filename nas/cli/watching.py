"""A run that another process carries out, followed in this terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..analysis.protocol_check import MEASURED
from ..analysis.ranking import best, num_candidates
from ..runs.folder import RUNNING, RunFolder, config_of
from ..runs.summary import state
from ..store.lock import in_use
from ..store.sqlite_store import Store
from ..trial import Trial, without_duplicates
from .panel import LATEST, RunView, panel_text

POLL_S = 1.0
"""Seconds between two looks at the store."""


def watch_run(run: RunFolder) -> None:
    """Shows a run until it is no longer running: a panel on a terminal, elsewhere a line for each change."""
    console = Console(highlight=False)
    began, before, last = time.monotonic(), None, ""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            shown, view = _look(run)
            if shown is None:
                return
            before = view.done if before is None else before
            view = replace(view, seconds=time.monotonic() - began, candidates=view.done - before)
            if console.is_terminal:
                live.update(Text(f"{shown.name}\n{panel_text(view, console.width)}"), refresh=True)
            elif (line := panel_text(view, 10**6).splitlines()[0]) != last:
                console.print(line, markup=False, soft_wrap=True)
                last = line
            time.sleep(POLL_S)


def _look(run: RunFolder) -> tuple[RunFolder | None, RunView]:
    """The search that is to be shown: the run's own, or its control's once that has begun; None after the run's end."""
    with Store.open(run.store_path, readonly=True) as store:
        # A process that resumes a run has it open before it writes that it runs.
        running = state(store, run) == "running" or in_use(run.store_path)
        wanted = config_of(store).search.trials
        trials, started, measured = store.trials(), store.get(RUNNING) or {}, len(store.items(MEASURED))
    shown = run
    if run.control.store_path.exists():
        with Store.open(run.control.store_path, readonly=True) as store:
            if store.trials():
                shown, trials, started = run.control, store.trials(), store.get(RUNNING) or {}
    return shown if running else None, _view(trials, wanted, started, measured)


def _view(trials: Sequence[Trial], wanted: int, started: Mapping[str, float], measured: int) -> RunView:
    now, new = time.time(), without_duplicates(trials)
    ended = [trial for trial in new if trial.state != "pending"]
    pending = [trial.number for trial in new if trial.state == "pending"]
    return RunView(
        wanted,
        done=num_candidates(ended),
        failed=sum(trial.state == "failed" for trial in ended),
        duplicates=len(trials) - len(new),
        running={number: now - started[str(number)] for number in pending if str(number) in started},
        leader=next(iter(best(ended)), None),
        latest=ended[-LATEST:],
        measuring=(measured, 0) if measured else None,
    )
