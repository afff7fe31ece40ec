"""TensorBoard log of a search, written without torch or TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.ranking import best, better
from ..errors import ConfigError
from ..trial import Trial, without_duplicates

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FLUSH_S = 5
"""Longest time for which events are buffered, in seconds."""


class TensorBoardLog:
    """Scalars of a search, one step a trial.

    A resumed run has an event file of its own in the same folder; TensorBoard shows the files of a folder as one run.

    Args:
        folder: Folder of the event file, which is made with the first trial.
        earlier: The finished trials of a run that is resumed; the best score and the counts go on from them.
    """

    def __init__(self, folder: Path, earlier: Sequence[Trial] = ()) -> None:
        self._folder = Path(folder)
        self._num_duplicates = len(earlier) - len(without_duplicates(earlier))
        self._num_failures = sum(trial.state == "failed" for trial in without_duplicates(earlier))
        self._best = next(iter(best(earlier)), None)
        self._writer: EventFileWriter | None = None

    def add(self, trial: Trial) -> None:
        """Logs a finished trial: score, best so far, costs, and the numbers of failures and duplicates.

        Of a duplicate only these numbers are logged.

        Raises:
            ConfigError: The folder cannot be written.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        is_new = trial.duplicate_of is None
        if is_new:
            self._best = better(self._best, trial)
        self._num_duplicates += not is_new
        self._num_failures += is_new and trial.state == "failed"
        values = {"search/failures": float(self._num_failures), "search/repeats": float(self._num_duplicates)}
        if self._best is not None and self._best.score is not None:
            values["score/best"] = self._best.value
        if is_new:
            values |= _own_values(trial)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in sorted(values.items())])
        self._opened().add_event(Event(step=trial.number, wall_time=time.time(), summary=summary))

    def close(self) -> None:
        """Writes what is buffered and closes the file, if there is one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _opened(self) -> EventFileWriter:
        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            try:
                self._writer = EventFileWriter(str(self._folder), flush_secs=FLUSH_S)
            except OSError as error:
                raise ConfigError(
                    f"{self._folder} cannot be written: {error.strerror}; choose another folder"
                ) from error
        return self._writer


def _own_values(trial: Trial) -> dict[str, float]:
    """Score, costs and seconds of one trial, as far as it has them."""
    values: dict[str, float] = {}
    if trial.score is not None:
        values["score/value"] = trial.score.value
        metrics = trial.score.metrics
        values |= {f"cost/{name}": metrics[name] for name in ("parameters", "flops") if name in metrics}
    if trial.seconds is not None:
        values["cost/seconds"] = trial.seconds
    return values
