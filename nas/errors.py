"""Errors that the project raises on purpose; a message gives the value, the rule and the remedy."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

READ_ONLY = frozenset([errno.EACCES, errno.EPERM, errno.EROFS])
"""Numbers of the system's errors where a file or folder may be read and not written."""
COPY_RUN = "copy the run's folder to a folder of yours, and set NAS_RUNS to the one that holds the copy"
"""What to do with a run that can only be read."""
OTHER_VERSION = "use the version of adaptnas that wrote it"
"""What to do with records of another version."""
INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended, as shells have it: 128 and the number of the signal."""


class NasError(Exception):
    """Root of all errors raised on purpose.

    Attributes:
        exit_status: Exit status of the command line.
    """

    exit_status = 1


class ConfigError(NasError):
    """A config, option or argument that cannot be used."""

    exit_status = 2


class DataError(NasError):
    """Data that is missing, damaged, or too small for the tasks asked of it."""

    exit_status = 2


class SpaceError(NasError):
    """A search space, or an architecture of it, that breaks the rules of `choose`."""

    exit_status = 2


class UncountedError(SpaceError):
    """A network of whose cost only a lower bound is known.

    Attributes:
        at_least: The lower bound.
    """

    def __init__(self, message: str, at_least: float) -> None:
        super().__init__(message, at_least)
        self.at_least = at_least

    def __str__(self) -> str:
        return str(self.args[0])


class Rejected(NasError):
    """The architecture being decided is not allowed in its space (`choose.reject`)."""


class RunError(NasError):
    """A run that does not exist, exists already, or is in use by another process."""

    exit_status = 2


class StoreError(NasError):
    """A store that is damaged, or was written by a newer version."""


class WriteError(StoreError):
    """A store that cannot be written for an error of the machine, such as a full disk; a later write may succeed."""


class ProtocolError(NasError):
    """Scores of different protocols or data that would be ranked together."""

    exit_status = 2


class SearchError(NasError):
    """A search that cannot go on."""


class WorkerError(NasError):
    """A worker process that ended before its candidate was finished."""


class OutOfMemory(NasError):
    """A candidate for which memory does not suffice, also with fewer tasks at a time."""


def shown(value: object) -> str:
    """A value as a message quotes it: one line of at most 80 characters.

    >>> shown([1, "two"])
    "[1, 'two']"
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggestion for an unknown name: the nearest known one, and the list of all.

    >>> nearest("evolutoin", ["evolution", "random"])
    "did you mean 'evolution'? Known: evolution, random"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listed = f"Known: {', '.join(names)}" if names else "None are known"
    return f"did you mean {close[0]!r}? {listed}" if close else listed
