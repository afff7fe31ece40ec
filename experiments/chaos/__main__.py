"""Tries what may happen to a search, and says what was lost: `python -m nas.experiments.chaos`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ..command_line import explained, machine, machine_line, output, show_progress, whole
from .figures import Figure, Settings

PARTS: tuple[str, ...] = (
    "kills",
    "crash_clones",
    "torn_files",
    "full_disk",
    "racing_resumers",
    "resume_equality",
    "store_speed",
    "reopening",
    "simulated_day",
    "candidates",
    "hostile_input",
    "node_loss",
)
"""Modules of this package, each with `measure(settings) -> list[Figure]`, in the order in which they run."""


def measure_part(name: str, settings: Settings) -> list[Figure]:
    """The figures of one part.

    Args:
        name: One of PARTS.
        settings: How much is tried.
    """
    show_progress(f"{name} …")
    figures: list[Figure] = importlib.import_module(f".{name}", __package__).measure(settings)
    return figures


def lines_of(figures: Sequence[Figure]) -> Iterator[str]:
    """The figures for people, one a line, each with its faults below it."""
    for each in figures:
        yield f"  {'met   ' if each.met else 'MISSED'}  {each.name}: {each.measured} (target: {each.target})"
        yield from (f"          {fault}" for fault in each.faults)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts and prints their figures; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.chaos", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given several times")
    parser.add_argument("--full", action="store_true", help="the counts for hours by hand instead of minutes")
    parser.add_argument("--seed", type=whole(0), default=0, help="seed of all that is drawn")
    parser.add_argument("--out", type=output, help="also write the figures to this file, as JSON")
    options = parser.parse_args(arguments)
    about = machine()
    parts: dict[str, object] = {}
    all_met = True
    sys.stdout.write(machine_line(about) + "\n")
    with explained("chaos"), tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for name in options.part or PARTS:
            begin = time.monotonic()
            own = Path(folder) / name
            own.mkdir()
            figures = measure_part(name, Settings(options.full, options.seed, own))
            seconds = time.monotonic() - begin
            sys.stdout.write("\n".join([f"{name} ({seconds:.0f} s)", *lines_of(figures)]) + "\n")
            sys.stdout.flush()
            all_met = all_met and all(each.met for each in figures)
            parts[name] = {"seconds": round(seconds, 1), "figures": [asdict(each) for each in figures]}
            if options.out:
                document = {"machine": about, "full": options.full, "seed": options.seed, "parts": parts}
                options.out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if all_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
