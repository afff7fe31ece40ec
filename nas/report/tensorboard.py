"""The search as TensorBoard scalars, without torch or TensorFlow."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..trial import Trial

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FLUSH_S = 5


class TensorBoardLog:
    """Writes one step a trial, its number, to an event file in `folder`; the file is made with the first trial.

    `told` are the trials of before, when a run is resumed: the best so far and the failures go on from them. A resumed
    run has an event file of its own in the same folder; TensorBoard shows the files of a folder as one run.
    """

    def __init__(self, folder: Path, told: Sequence[Trial] = ()) -> None:
        self._folder = Path(folder)
        self._repeats = sum(trial.duplicate_of is not None for trial in told)
        self._failures = sum(trial.state == "failed" and trial.duplicate_of is None for trial in told)
        self._best = max((_rank(trial) for trial in told), default=(0, -math.inf))
        self._writer: EventFileWriter | None = None

    def add(self, trial: Trial) -> None:
        """Logs a finished trial: score, best so far, costs, the numbers of failures and repeats; of a repeat these
        numbers only. Raises ConfigError when the folder cannot be written."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        again = trial.duplicate_of is not None
        self._repeats += again
        self._failures += trial.state == "failed" and not again
        self._best = max(self._best, _rank(trial))
        values = {"search/failures": float(self._failures), "search/repeats": float(self._repeats)}
        if math.isfinite(self._best[1]):
            values["score/best"] = self._best[1]
        if trial.score is not None and not again:
            values["score/value"] = trial.score.value
            values |= {f"cost/{name}": v for name, v in trial.score.metrics.items() if name in ("parameters", "flops")}
        if trial.seconds is not None and not again:
            values["cost/seconds"] = trial.seconds
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in sorted(values.items())])
        self._opened().add_event(Event(step=trial.number, wall_time=time.time(), summary=summary))

    def close(self) -> None:
        """Writes what is buffered and ends the file; without effect when nothing was added."""
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


def _rank(trial: Trial) -> tuple[int, float]:
    """By score, but what was promoted to a higher budget comes before what was not."""
    return (trial.budget if trial.score is not None else 0, trial.value)
