"""Study of cheap scores: Kendall's τ with the full meta-training, and the cost.

    python -m nas.experiments.fidelity --path OMNIGLOT [--cells 60] [--any-size] [--out TXT] [--plot PNG] [--json]

Under an hour on two otherwise idle processor cores. The work folder holds a line for each finished training, so that an
interrupted study can be continued. The settings are in fidelity.toml.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from nas import config as configs
from nas.errors import NasError

from ..command_line import add_output_options, explained, machine, output, print_table, resumable, show_progress, whole
from .report import Report, plot, report, text
from .settings import Settings, config, load
from .train import Cell, Job, Rungs, draw_cells, finished, one_thread, seconds_of, train

NOTES = (
    "of full: outer steps as a part of the full ones. seconds, cost: of one core, training and one scoring together, "
    "and as a part of the full's.",
    "own schedules unless a series is called continued. τ | size: partial τ given the number of parameters. over size: "
    "τ minus that of the number of parameters. best reaches: the full score of the cell that looks best.",
)


def jobs(settings: Settings, cells: Sequence[Cell], path: str) -> list[Job]:
    """Every meta-training: each cell in each series, then the reference of some cells with a second seed."""
    result = []
    for seed, chosen in ((0, cells), (1, cells[: settings.reference.again])):
        for cell in chosen:
            for name, series in settings.series.items():
                if seed == 0 or name == settings.reference.series:
                    rungs = tuple(series.rungs) if seed == 0 else (series.rungs[-1],)
                    own = series.schedule == "own"
                    result.append(Job(name, cell.architecture, seed, config(settings, series, path), rungs, own))
    return result


def estimate_s(every: Sequence[Job], workers: int, *, steps: int = 3, tasks: int = 5) -> float:
    """An estimate of the jobs' seconds, from `steps` outer steps and `tasks` tasks of each series on three cells."""
    timings: dict[tuple[str, int, bool], list[float]] = {}
    for job in every:
        times = timings.setdefault((job.series, job.seed, job.own), [])
        if len(times) < 3:
            times.append(seconds_of(job, steps=steps, tasks=tasks))
    return sum(sum(times) / len(times) for job in every if (times := timings[job.series, job.seed, job.own])) / workers


def run(every: Sequence[Job], file: Path, workers: int) -> dict[str, Rungs]:
    """Train the jobs that have no line in the file yet, in worker processes.

    Returns:
        The results of all jobs of the file, by key.

    Raises:
        NasError: A worker process was killed.
    """
    pending = [job for job in every if job.key not in finished(file)]
    steps, began = sum(job.steps for job in pending), time.perf_counter()
    if not pending:
        return finished(file)
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=one_thread) as pool,
        file.open("a", encoding="utf-8") as lines,
    ):
        if lines.tell() and not file.read_bytes().endswith(b"\n"):
            lines.write("\n")  # a killed process left its last line unfinished
        futures = {pool.submit(train, job): job for job in pending}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                lines.write(json.dumps(future.result()) + "\n")
                lines.flush()
                os.fsync(lines.fileno())
                done = sum(job.steps for future, job in futures.items() if future.done())
                minutes = (time.perf_counter() - began) * (steps / done - 1) / 60
                show_progress(f"{count}/{len(pending)} trainings, about {minutes:.0f} min left")
        except BrokenProcessPool:
            raise NasError("a worker process was ended, as when memory runs out; the same command goes on") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():  # otherwise they would finish the submitted jobs
                process.terminate()
            raise
    return finished(file)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    one_thread()
    with explained(parser.prog, interrupted=resumable(options.work)):
        result = _run(options)
        if result is None:
            return
        print_table(options, [*parser.prog.split(), *arguments], text(result), result.to_json())
        if options.plot:
            plot(result, options.plot)


def _run(options: argparse.Namespace) -> Report | None:
    """The report; None with --estimate."""
    settings = load(options.settings)
    reference = config(settings, settings.series[settings.reference.series], options.path)
    configs.build(reference).measurer.tasks.check()
    if options.any_size:
        unlimited = settings.cells.model_copy(update={"parameters": None, "flops": None})
        settings = settings.model_copy(update={"cells": unlimited})
    cells = draw_cells(reference, settings.cells, options.cells or settings.cells.count)
    every = jobs(settings, cells, options.path)
    show_progress(f"{len(every)} trainings of {len(cells)} cells on {options.workers} processes")
    if options.estimate:
        print(f"about {estimate_s(every, options.workers) / 60:.0f} minutes")
        return None
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    results = run(every, options.work / "trainings.jsonl", options.workers)
    took = f"This call took {(time.perf_counter() - began) / 60:.1f} min on {options.workers} processes of one thread."
    scores = {(job.series, job.seed, job.cell.key): results[job.key] for job in every}
    return report(settings, cells, scores, notes=(*NOTES, took), machine=machine())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("--path", default="", help="where Omniglot is, as `tasks.path` of a config")
    parser.add_argument("--cells", type=whole(3), help="how many; else as the settings say")
    parser.add_argument("--any-size", action="store_true", help="cells of all sizes, whatever the settings' limits")
    parser.add_argument("--workers", type=whole(1), default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=Path("work-fidelity"), help="folder of finished trainings")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--estimate", action="store_true", help="only say about how long it takes")
    parser.add_argument("--plot", type=output, help="write the plot to this .png file")
    add_output_options(parser)
    return parser


if __name__ == "__main__":
    main()
