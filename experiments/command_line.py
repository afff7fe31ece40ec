"""Command-line helpers of the studies: argument types, output, one-line errors, description of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nas.errors import INTERRUPTED, NasError
from nas.provenance import processor, versions

Machine = dict[str, str | int | float]
"""Description of a machine: processor, cores, load, system, and versions of Python and the packages."""


def machine() -> Machine:
    """The machine that numbers are measured on."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        **versions(),
    }


def machine_line(description: Mapping[str, object]) -> str:
    """A machine in one line."""
    return " · ".join(f"{key} {value}" for key, value in description.items())


def whole(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"{text!r} cannot be used; give a whole number from {least}")
        return int(text)

    return read


def output(text: str) -> Path:
    """The type of an argument that is a file to write; checked first, because writing comes after hours of work."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text!r} cannot be written; give a file in an existing folder that you may write to")
    return path


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add --out and --json, which `print_table` reads."""
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def print_table(options: argparse.Namespace, command: Sequence[str], table: str, document: object) -> None:
    """Print a study's table, or its document with --json; write the command and the table to the file of --out.

    Args:
        options: Parsed arguments, with those of `add_output_options`.
        command: Words of the command, so that a result says how it was made.
        table: Table for people.
        document: The same as a JSON value.
    """
    sys.stdout.write((json.dumps(document) if options.json else table) + "\n")
    if options.out:
        options.out.write_text(f"$ {shlex.join(command)}\n{table}\n", encoding="utf-8")


def print_benchmark(options: argparse.Namespace, table: str, document: object) -> None:
    """Print a benchmark's table, or its document with --json, and write the same to the file of --out."""
    text = json.dumps(document, ensure_ascii=False) if options.json else table
    sys.stdout.write(text + "\n")
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def show_progress(line: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def resumable(work: Path) -> str:
    """The message of an interrupted study that keeps finished work in a folder."""
    return f"interrupted; the same command goes on from what is in {work}"


@contextmanager
def explained(command: str, *, interrupted: str = "interrupted") -> Iterator[None]:
    """Context in which expected errors and Ctrl-C end the process with one line on standard error.

    Args:
        command: Name of the command, with which the line begins.
        interrupted: Message after Ctrl-C.

    Raises:
        SystemExit: After a NasError, an OSError or Ctrl-C, with the exit status that `nas` has for it.
    """
    try:
        yield
        return
    except NasError as error:
        message, status = str(error), error.exit_status
    except OSError as error:
        message, status = f"{error.filename or 'the system'}: {error.strerror or error}", 1
    except KeyboardInterrupt:
        message, status = interrupted, INTERRUPTED
    sys.stderr.write(f"{command}: {message}\n")
    raise SystemExit(status)
