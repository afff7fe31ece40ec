"""Time and memory of reopening a store of up to a million trials, and of the replay for each controller."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nas.registry import components
from nas.store.rows import Row, write_record, write_trial
from nas.store.schema import SCHEMA, TABLES
from nas.store.sqlite_file import DurableFile
from nas.trial import Trial

from .figures import Figure, Settings
from .simulated_day import Wide
from .store_speed import architecture, score
from .toy_searches import controllers, quick_folder

MOST_S, MOST_BYTES = 10, 10**9
"""Limits of reopening a million trials; fewer trials have their share of the time."""
READ = """
import json, resource, sys, time
from pathlib import Path
from nas.store import Store
begin = time.perf_counter(), time.process_time()
with Store.open(Path(sys.argv[1])) as store:
    number = len(store.trials())
seconds = time.perf_counter() - begin[0], time.process_time() - begin[1]
print(json.dumps([number, *seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""
"""Program that opens a store as `nas resume` does, and reads all its trials."""


def measure(settings: Settings) -> list[Figure]:
    """Reopening in a process of its own."""
    trials = 1_000_000 if settings.full else 20_000
    with tempfile.TemporaryDirectory(dir=quick_folder(settings.folder)) as folder:
        path = Path(folder) / "trials.sqlite"
        fill(path, trials)
        size = path.stat().st_size
        command = [sys.executable, "-c", READ, str(path)]
        read = subprocess.run(command, capture_output=True, text=True, check=True)
    number, seconds, cpu_s, peak = json.loads(read.stdout)
    replayed = 5_000 if settings.full else 200
    most_s = MOST_S * trials / 1_000_000
    return [
        Figure(
            f"reopening a store of {trials:,} trials ({size / 2**20:,.0f} MiB), all checked and read",
            f"less than {most_s:g} s, less than 1 GB",
            f"{seconds:.1f} s ({cpu_s:.1f} s of the processor), {peak / 1e9:.2f} GB at most",
            number == trials and seconds < most_s and peak < MOST_BYTES,
        ),
        Figure(
            f"replay of {replayed:,} trials by each controller, beside the reopening",
            "none",
            "; ".join(replay(name, replayed) for name in controllers()),
            True,
        ),
    ]


def fill(path: Path, trials: int) -> None:
    """Makes a store of so many looked-up trials, in one transaction."""

    def fill_tables(connection: sqlite3.Connection) -> None:
        for table in TABLES:
            connection.execute(table)
        write_record(connection, "meta", "{}")
        for number in range(trials):
            trial = Trial(number, architecture(number), 12, 0, "done", score(number / trials), seconds=1.0)
            write_trial(connection, Row(trial, number, number))

    file = DurableFile(path, SCHEMA)
    file.create(fill_tables)
    file.close()


def replay(name: str, trials: int) -> str:
    """The time in which a controller is asked for and told of so many trials one by one, as a replay does."""
    controller = components.create("controller", name, {}, space=Wide(), seed=0)
    times = [time.perf_counter()]
    for number in range(trials):
        for proposed in controller.ask(1):
            result = score(sum(proposed.picks.values()) / 72)
            controller.tell([Trial(number, proposed, 1, 0, "done", result, seconds=1.0)])
        if (number + 1) % (trials // 10) == 0:
            times.append(time.perf_counter())
    last_ms = (times[-1] - times[-2]) / (trials // 10) * 1000
    return f"{name} {times[-1] - times[0]:.1f} s ({last_ms:.2f} ms a trial at the end)"
