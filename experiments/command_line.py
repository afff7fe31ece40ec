"""What the command lines of experiments share: arguments that are checked before hours of work, and how they end."""

from __future__ import annotations

import os
import platform
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import INTERRUPTED, NasError
from nas.provenance import processor, versions


def machine() -> dict[str, str | int | float]:
    """What the numbers were measured on."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        **versions(),
    }


def whole(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"{text!r} cannot be used; give a whole number from {least}")
        return int(text)

    return read


def output(text: str) -> Path:
    """The type of an argument that is a file to write in the end."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text!r} cannot be written; give a file in a folder that is there and yours")
    return path


@contextmanager
def explained(command: str, *, interrupted: str = "interrupted") -> Iterator[None]:
    """Errors made on purpose, those of the system, and Ctrl-C, as one line on standard error and the exit status that
    `nas` has for them."""
    try:
        yield
        return
    except NasError as error:
        said, status = str(error), error.exit_status
    except OSError as error:
        said, status = f"{error.filename or 'the system'}: {error.strerror or error}", 1
    except KeyboardInterrupt:
        said, status = interrupted, INTERRUPTED
    sys.stderr.write(f"{command}: {said}\n")
    raise SystemExit(status)
