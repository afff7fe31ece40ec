"""How early a candidate's score can be trusted: Kendall's τ of cheap scores with the full meta-training, and the cost.

    python -m nas.experiments.fidelity --path OMNIGLOT [--cells 60] [--any-size] [--out TXT] [--plot PNG] [--json]

Under an hour on two otherwise idle processor cores. Finished trainings are lines of a file in the work folder, so it
can be interrupted. The settings are in fidelity.toml.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from nas import config as configs
from nas.errors import NasError

from ..command_line import explained, machine, output, whole
from .report import document, plot, text
from .settings import Settings, config, load
from .train import Cell, Job, Rung, draw_cells, finished, one_thread, seconds_of, train

DRAWS = 1000
"""Bootstrap samples of the cells."""
NOTES = [
    "of full: outer steps as a part of the full ones. seconds, cost: of one core, training and one scoring together, "
    "and as a part of the full's.",
    "own schedules unless a series is called continued. τ | size: partial τ given the number of parameters. over size: "
    "τ minus that of the number of parameters. best reaches: the full score of the cell that looks best.",
]


def jobs(settings: Settings, cells: Sequence[Cell], path: str) -> list[Job]:
    """Every meta-training: each cell in each series, then the reference again for some, with another seed."""
    found = []
    for seed, chosen in ((0, cells), (1, cells[: settings.reference.again])):
        for cell in chosen:
            for name, series in settings.series.items():
                if seed == 0 or name == settings.reference.series:
                    rungs = tuple(series.rungs) if seed == 0 else (series.rungs[-1],)
                    own = series.schedule == "own"
                    found.append(Job(name, cell.architecture, seed, config(settings, series, path), rungs, own))
    return found


def estimate_s(every: Sequence[Job], workers: int, *, steps: int = 3, tasks: int = 5) -> float:
    """About how long the jobs take, from a few outer steps of each series on the first three cells."""
    tried: dict[tuple[str, int, bool], list[float]] = {}
    for job in every:
        times = tried.setdefault((job.series, job.seed, job.own), [])
        if len(times) < 3:
            times.append(seconds_of(job, steps=steps, tasks=tasks))
    return sum(sum(times) / len(times) for job in every if (times := tried[job.series, job.seed, job.own])) / workers


def run(every: Sequence[Job], file: Path, workers: int) -> dict[str, dict[str, Rung]]:
    """Trains what the file has no line of yet; the results by the jobs' keys."""
    left = [job for job in every if job.key not in finished(file)]
    steps, began = sum(job.steps for job in left), time.perf_counter()
    if not left:
        return finished(file)
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=one_thread) as pool,
        file.open("a", encoding="utf-8") as lines,
    ):
        if lines.tell() and not file.read_bytes().endswith(b"\n"):
            lines.write("\n")  # a kill left the last line unfinished
        waiting = {pool.submit(train, job): job for job in left}
        try:
            for count, future in enumerate(as_completed(waiting), 1):
                lines.write(json.dumps(future.result()) + "\n")
                lines.flush()
                os.fsync(lines.fileno())
                done = sum(job.steps for future, job in waiting.items() if future.done())
                minutes = (time.perf_counter() - began) * (steps / done - 1) / 60
                _tell(f"{count}/{len(left)} trainings, about {minutes:.0f} min left")
        except BrokenProcessPool:
            raise NasError("a worker process was ended, as when memory runs out; the same command goes on") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():  # or they would finish what was handed out to them
                process.terminate()
            raise
    return finished(file)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    one_thread()
    goes_on = f"interrupted; the same command goes on from what is in {options.work}"
    with explained(parser.prog, interrupted=goes_on):
        found = _found(options)
        if found is None:
            return
        print(json.dumps(found) if options.json else text(found))
        if options.out:
            command = shlex.join(["python", "-m", "nas.experiments.fidelity", *arguments])
            options.out.write_text(f"$ {command}\n{text(found)}\n", encoding="utf-8")
        if options.plot:
            plot(found, options.plot)


def _found(options: argparse.Namespace) -> dict[str, Any] | None:
    settings = load(options.settings)
    series = settings.series[settings.reference.series]
    about = config(settings, series, options.path)
    configs.build(about).measurer.tasks.check()
    if options.any_size:
        sizeless = settings.cells.model_copy(update={"parameters": None, "flops": None})
        settings = settings.model_copy(update={"cells": sizeless})
    cells = draw_cells(about, settings.cells, options.cells or settings.cells.count)
    every = jobs(settings, cells, options.path)
    _tell(f"{len(every)} trainings of {len(cells)} cells on {options.workers} processes")
    if options.estimate:
        print(f"about {estimate_s(every, options.workers) / 60:.0f} minutes")
        return None
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    results = run(every, options.work / "trainings.jsonl", options.workers)
    took = f"This call took {(time.perf_counter() - began) / 60:.1f} min on {options.workers} processes of one thread."
    found = {(job.series, job.seed, job.cell.key): results[job.key] for job in every}
    return {**document(settings, cells, found, draws=DRAWS), "notes": [*NOTES, took], "machine": machine()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("--path", default="", help="where Omniglot is, as `tasks.path` of a config")
    parser.add_argument("--cells", type=whole(3), help="how many; else as the settings say")
    parser.add_argument("--any-size", action="store_true", help="cells of all sizes, whatever the settings' limits")
    parser.add_argument("--workers", type=whole(1), default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=Path("work-fidelity"), help="folder of finished trainings")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--estimate", action="store_true", help="only say about how long it takes")
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--plot", type=output, help="write the plot to this .png file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
