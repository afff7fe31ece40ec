"""Logs of candidates: what they print in their workers, in files beside the run."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import RunError
from ..store.sqlite_store import Store
from .folder import RunFolder

log = logging.getLogger(__name__)
TOTAL_BYTES = 64 * 1024 * 1024
"""Most bytes of all files of a run together; of one file the executor leaves out the middle."""
FULL = "left_out.txt"
"""File that tells, where there is no room for more, that outputs are not kept."""


def keep(run: RunFolder, name: str, output: bytes) -> None:
    """Writes what an evaluation or measurement printed, if anything. A disk that is full loses it, and no more.

    Args:
        run: The run.
        name: Number of the trial, or name of the measurement.
        output: The output.
    """
    if not output:
        return
    try:
        run.outputs.mkdir(exist_ok=True)
        taken = sum(path.stat().st_size for path in run.outputs.iterdir())
        if taken + len(output) <= TOTAL_BYTES:
            _file(run, name).write_bytes(output)
        else:
            (run.outputs / FULL).write_text(
                f"the files here take {taken:,} bytes, so what was printed next is not kept\n"
            )
    except OSError as error:
        log.warning("what %s printed is not kept in %s: %s", name, run.outputs, error.strerror)


def output_text(run: RunFolder, number: int) -> str:
    """What a trial of a run printed, fit for a terminal: control characters are question marks.

    Returns:
        The text; empty where the trial printed nothing.

    Raises:
        RunError: The run has no such trial, or it was not evaluated, or its file cannot be read.
    """
    with Store.open(run.store_path, readonly=True) as store:
        trials = store.trials()
    if not 0 <= number < len(trials):
        there = f"it has 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise RunError(f"run {run.name!r} has no trial {number}; {there}")
    first = trials[number].duplicate_of
    if first is not None:
        raise RunError(f"trial {number} is a duplicate of trial {first} and was not evaluated; give --log {first}")
    try:
        output = _file(run, str(number)).read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RunError(f"{_file(run, str(number))} cannot be read: {error.strerror}") from None
    lines = output.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join("".join(c if c.isprintable() or c == "\t" else "?" for c in line) for line in lines)


def is_full(run: RunFolder) -> bool:
    """Whether some outputs of a run were not kept for lack of room."""
    return (run.outputs / FULL).exists()


def _file(run: RunFolder, name: str) -> Path:
    return run.outputs / f"{name}.txt"
