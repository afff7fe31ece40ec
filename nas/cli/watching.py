"""A run that another process carries out, followed in this terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..analysis.protocol_check import MEASURED
from ..analysis.ranking import best
from ..runs.extending import num_candidates
from ..runs.folder import RUNNING, RunFolder, config_of
from ..runs.summary import state
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
            running, trials, view = _look(run)
            done = num_candidates([trial for trial in trials if trial.state != "pending"])
            before = done if before is None else before
            view = RunView(**{**vars(view), "seconds": time.monotonic() - began, "candidates": done - before})
            if not running:
                return
            if console.is_terminal:
                live.update(Text(f"{run.name}\n{panel_text(view, console.width)}"), refresh=True)
            elif (line := panel_text(view, 10**6).splitlines()[0]) != last:
                console.print(line, markup=False, soft_wrap=True)
                last = line
            time.sleep(POLL_S)


def _look(run: RunFolder) -> tuple[bool, Sequence[Trial], RunView]:
    """Whether a run is running, with the trials and the view of its search, or of its control's once that has begun."""
    with Store.open(run.store_path, readonly=True) as store:
        running, wanted = state(store, run) == "running", config_of(store).search.trials
        trials, started, measured = store.trials(), store.get(RUNNING) or {}, len(store.items(MEASURED))
    if run.control.store_path.exists():
        with Store.open(run.control.store_path, readonly=True) as store:
            if store.trials():
                trials, started = store.trials(), store.get(RUNNING) or {}
    return running, trials, _view(trials, wanted, started, measured)


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
