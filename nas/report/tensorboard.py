"""TensorBoard log of a search: scalars, hyper-parameters, curves and pictures of its candidates."""

from __future__ import annotations

import base64
import logging
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.ranking import better
from ..failures import attempt, reason
from ..protocols.controllers import Controller, Watched
from ..protocols.spaces import SearchSpace
from ..space.identity import of_graph
from ..space.sampling import options_taken
from ..trial import Trial
from . import event_files, figures

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

log = logging.getLogger(__name__)

MAX_CANDIDATES = 1000
"""Number of trials that get a folder with their hyper-parameters; TensorBoard takes long to read more."""
WHOLE = f"{event_files.PREFIX}0"
"""Name of an event file that is written once."""


class TensorBoardLog:
    """Events of a search: scalars at the number of each trial, and folders for what has its own steps.

    The folder holds the scalars, and a picture of the cell of each new best candidate. Its subfolders are runs of their
    own to TensorBoard: 'candidates/NUMBER' has the choices of a trial as hyper-parameters, with score and costs as
    metrics; 'best/NUMBER' the score of a new best candidate after each inner step.

    A trial that the folder's event files hold already is not logged again. So the log of a resumed search is given all
    its trials once more, and adds what was lost or is damaged in a further event file, which TensorBoard shows as one
    with the earlier ones. What cannot be logged is said once, and never stops a search.

    Args:
        folder: Folder of the log, which is made with the first trial.
        space: Search space of the trials.
        controller: Controller whose measurements are logged, where it offers some (`nas.protocols.Watched`).
    """

    def __init__(self, folder: Path, space: SearchSpace, controller: Controller | None = None) -> None:
        self._folder = Path(folder)
        self._space, self._controller = space, controller
        self._num_duplicates = self._num_failures = 0
        self._best: Trial | None = None
        self._usable = True

    def add(self, trial: Trial) -> None:
        """Logs a finished trial, of which the controller was told if it proposed it.

        Of a duplicate only counts, best score and the controller's measurements are logged.
        """
        if trial.duplicate_of is None:
            self._best = better(self._best, trial)
        self._num_duplicates += trial.duplicate_of is not None
        self._num_failures += trial.duplicate_of is None and trial.state == "failed"
        if not self._usable:
            return
        outcome = attempt(self._write, trial)
        if outcome.error is not None:
            self._usable = False
            log.warning(
                "the TensorBoard log in %s ends at trial %d (%s); the search goes on, and `nas resume` completes it",
                self._folder,
                trial.number,
                reason(outcome.error),
            )

    def _write(self, trial: Trial) -> None:
        if trial.number in self._logged:
            return
        values = {"search/failures": float(self._num_failures), "search/repeats": float(self._num_duplicates)}
        if self._best is not None and self._best.score is not None:
            values["score/best"] = self._best.value
        if isinstance(self._controller, Watched):
            values |= {f"controller/{name}": value for name, value in self._controller.measurements().items()}
        pictures: list[Summary.Value] = []
        if trial.duplicate_of is None:
            values |= _own_values(trial)
            if trial.number < MAX_CANDIDATES:
                self._write_candidate(trial)
            if trial is self._best and trial.score is not None:
                self._write_curve(trial, trial.score.curve)
                pictures = self._pictures(trial)
        # One event, written last, so that it is there as a whole or not at all, and says that the trial is logged.
        event = event_files.event([*event_files.scalars(values), *pictures], trial.number)
        event_files.write(self._file, [event], append=True)

    def _write_candidate(self, trial: Trial) -> None:
        """A session of the hparams plugin."""
        now = time.time()
        hparams = {"budget": trial.budget, **options_taken(self._space, trial.architecture)}
        metrics = {tag.partition("/")[2]: value for tag, value in _own_values(trial).items()}
        if trial.score is not None:
            metrics["score"] = metrics.pop("value")
        event_files.write(
            self._folder / "candidates" / f"{trial.number:04}" / WHOLE,
            [
                event_files.event([event_files.session_start(hparams, now - (trial.seconds or 0.0))]),
                event_files.event(event_files.scalars(metrics)),
                event_files.event([event_files.session_end(done=trial.state == "done", ended_s=now)]),
            ],
        )

    def _write_curve(self, trial: Trial, curve: tuple[float, ...]) -> None:
        if len(curve) > 1:
            points = [event_files.scalars({"best/inner_steps": value}) for value in curve]
            events = [event_files.event(point, step) for step, point in enumerate(points)]
            event_files.write(self._folder / "best" / f"{trial.number:04}" / WHOLE, events)

    def _pictures(self, trial: Trial) -> list[Summary.Value]:
        """The picture of the trial's cell; none where the space draws no graphs."""
        png = of_graph(self._space, trial.architecture, figures.cell)
        return [] if png is None else [event_files.picture("best/cell", base64.b64decode(png))]

    @cached_property
    def _logged(self) -> set[int]:
        return event_files.steps(self._folder, "search/failures")

    @cached_property
    def _file(self) -> Path:
        """An event file of this process, whose name comes after those of earlier ones."""
        return self._folder / f"{event_files.PREFIX}{time.time_ns()}"


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
