"""Searches and whole runs killed with kill -9, before each system call that writes and at random times."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from nas.config.schema import Config

from . import broken_runs, toy_search
from .breaking import Tally, Work, attack, unbroken
from .figures import Figure, Settings
from .tracing import why_not

SEARCHES, RUNS = 276, 12
"""Kills of searches, and of each of the two kinds of runs, in the small count."""
FULL_SEARCHES, FULL_RUNS = 9700, 150
KILLS_A_SEARCH = 1000
"""Kills of the search of one seed."""


def measure(settings: Settings) -> list[Figure]:
    """Kills of searches, of runs on a table and of runs with finals."""
    searches, runs = (FULL_SEARCHES, FULL_RUNS) if settings.full else (SEARCHES, RUNS)
    return figures(settings, searches, runs, runs)


def figures(settings: Settings, searches: int, tables: int, trained: int) -> list[Figure]:
    """As `measure`, with the least number of kills of each kind."""
    refused, draw = why_not(), random.Random(settings.seed)
    tallies = {"of searches": Tally()}
    for seed in range(-(-searches // KILLS_A_SEARCH)):
        wanted = min(KILLS_A_SEARCH, searches - tallies["of searches"].kills)
        folder = settings.folder / f"search{seed}"
        _add(tallies["of searches"], _attacked(search_work(seed), folder, wanted, draw, traced=not refused))
    if trained:
        _use_one_thread()
    for name, wanted, make in (
        ("of runs on a table, with control, extension and report", tables, broken_runs.table_config),
        ("of runs with finals, control, extension, report and export", trained, broken_runs.trained_config),
    ):
        folder = settings.folder / make.__name__
        folder.mkdir()
        tallies[name] = _attacked(run_work(make(folder)), folder / "runs", wanted, draw, traced=not refused)
    total = Tally()
    for tally in tallies.values():
        _add(total, tally)
    parts = "; ".join(f"{tally.at_calls:,} + {tally.at_random:,} {name}" for name, tally in tallies.items())
    where = f"before a system call that writes + at a random time: {parts}{'; ' + refused if refused else ''}"
    wanted = searches + tables + trained
    return [
        Figure("kill -9", f"{wanted:,} kills", f"{total.kills:,} kills ({where})", total.kills >= wanted),
        _none("acknowledged trials lost or doubled by them", total.lost),
        _none("continued searches and runs that differ from the unbroken one", total.unequal),
        _none("temporary files of weights left after them in continued runs", total.leftovers),
    ]


def search_work(seed: int) -> Work:
    """A search whose controller has a seed."""
    return Work(
        lambda folder, send: toy_search.carry_on(folder / "trials.sqlite", toy_search.numbered(send), seed=seed),
        lambda folder: toy_search.state(folder / "trials.sqlite"),
        lambda folder, lines, whole: toy_search.lost(folder / "trials.sqlite", [int(line) for line in lines], whole),
    )


def run_work(config: Config) -> Work:
    """A run of a config, its extension and its export."""
    return Work(partial(broken_runs.carry_on, config), broken_runs.content, broken_runs.lost, broken_runs.leftovers)


def _use_one_thread() -> None:
    """Has torch start no threads, of which a forked process would have none."""
    import torch

    torch.set_num_threads(1)


def _attacked(work: Work, folder: Path, wanted: int, draw: random.Random, *, traced: bool) -> Tally:
    if wanted <= 0:
        return Tally()
    work.carry_on(folder / "imports", lambda _line: None)  # Forked processes then need not import anything.
    return attack(work, unbroken(work, folder / "unbroken", traced=traced), folder / "broken", wanted, draw)


def _add(total: Tally, tally: Tally) -> None:
    total.at_calls += tally.at_calls
    total.at_random += tally.at_random
    total.lost += tally.lost
    total.unequal += tally.unequal
    total.leftovers += tally.leftovers


def _none(name: str, faults: list[str]) -> Figure:
    return Figure(name, "0", str(len(faults)), not faults, tuple(faults[:20]))
