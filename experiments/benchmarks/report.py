"""Benchmark of the report's page of a large search: seconds to write it, its size, seconds to open it in a browser.

    python -m nas.experiments.benchmarks.report [--trials 5000] [--json] [--out TXT]

The trials are random cells of the quick start's space with made-up scores in a store in a temporary folder; one in
twenty failed. Writing includes reading the store, after the program and its libraries were loaded for a small page. The
browser is headless Chromium, where it is installed: the seconds until it has loaded and painted the page, less those
for an empty page.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nas.config import build, load
from nas.runs.folder import create, run_of
from nas.runs.run import open_run
from nas.space import sample
from nas.trial import Score, Trial

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole

SMALL = 30
"""Trials of the page that is written first."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EMPTY = "data:text/html,empty"


@dataclass(frozen=True)
class Page:
    """Measurements of one page.

    Attributes:
        trials: Number of trials.
        write_s: Seconds to write it.
        size: Bytes.
        open_s: Seconds to open it in a browser; None where there is none.
    """

    trials: int
    write_s: float
    size: int
    open_s: float | None


def write_run(name: str, trials: int) -> None:
    """Writes a run with made-up trials into the folder of runs."""
    config = load(None, [f"search.trials={trials}"])
    space, rng = build(config).space, random.Random(0)
    with create(run_of(name), config) as store:
        architectures = [sample(space, rng) for _ in range(trials)]
        for trial in store.propose(architectures, config.evaluator.budget, config.search.seed):
            store.finish(_ended(trial, rng))


def _ended(trial: Trial, rng: random.Random) -> Trial:
    if rng.random() < 0.05:
        return replace(trial, state="failed", error="RuntimeError: made up for this benchmark", seconds=1.0)
    parameters = rng.lognormvariate(9, 0.7)
    value = min(1.0, 0.1 + 0.06 * parameters**0.25 + rng.gauss(0, 0.03))
    curve = tuple(0.2 + (value - 0.2) * step / 5 for step in range(6))
    metrics = {"parameters": float(int(parameters)), "flops": 300 * parameters}
    per_task = tuple(rng.gauss(value, 0.1) for _ in range(100))
    return replace(trial, state="done", score=Score(value, 0.01, curve, per_task, metrics), seconds=1.0)


def measure(trials: int) -> Page:
    """Writes a run and its page, and opens it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        before = os.environ.get("NAS_RUNS")
        os.environ["NAS_RUNS"] = folder
        try:
            for name, count in (("small", SMALL), ("large", trials)):
                write_run(name, count)
            open_run("small").report()
            started = time.perf_counter()
            path = open_run("large").report()
            seconds = time.perf_counter() - started
        finally:
            del os.environ["NAS_RUNS"]
            os.environ |= {} if before is None else {"NAS_RUNS": before}
        opened = None
        if browser is not None:
            _open(browser, EMPTY, Path(folder))
            empty = _open(browser, EMPTY, Path(folder))
            opened = _open(browser, path.as_uri(), Path(folder)) - empty
        return Page(trials, seconds, path.stat().st_size, opened)


def _open(browser: str, address: str, folder: Path) -> float:
    """Seconds in which a browser starts, paints a page, and ends."""
    profile, picture = folder / "profile", folder / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", f"--screenshot={picture}"]
    started = time.perf_counter()
    subprocess.run([browser, *options, address], check=True, capture_output=True, timeout=120)
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=whole(1), default=5000)
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("report"):
        page = measure(options.trials)
    where = machine()
    opened = "no browser here" if page.open_s is None else f"opened in {page.open_s:.2f} s"
    line = f"{page.trials:,} trials: written in {page.write_s:.2f} s, {page.size / 2**20:.2f} MiB, {opened}"
    print_benchmark(options, f"{machine_line(where)}\n{line}", {"machine": where, **asdict(page)})


if __name__ == "__main__":
    main()
