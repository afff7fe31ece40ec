"""Controllers of this project as strategies of an experiment of `nni.nas`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nni.mutable import SampleValidationError
from nni.nas.execution import ExecutionEngine, TrainingEndEvent
from nni.nas.execution.event import ModelEventType
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy import Strategy

from nas.architecture import Architecture
from nas.protocols import Controller
from nas.space import Choose, replay
from nas.trial import Score, Trial

from .choices import Sample, run_steps, steps_of_mutables

SPACE = "nni-experiment"


class LabelSpace:
    """The labels of an NNI experiment's space, in the order in which NNI has them, as a search space without networks.

    Args:
        model_space: NNI's space.
    """

    name = SPACE

    def __init__(self, model_space: ExecutableModelSpace) -> None:
        self._steps = tuple(steps_of_mutables([model_space], set(), set()))

    def decide(self, choose: Choose) -> Sample:
        """A value of each label."""
        sample: Sample = {}
        run_steps(self._steps, choose, sample)
        return sample

    def build(self, spec: Sample, task: Any) -> Any:
        """Raises NotImplementedError: NNI builds the networks."""
        raise NotImplementedError("the networks of an NNI experiment are built by NNI")


class ControllerStrategy(Strategy):  # type: ignore[misc]
    """Strategy of an NNI experiment that proposes what a controller does, and tells it each model's final metric.

    Higher metrics are better. A model that fails, or whose sample NNI refuses, is a failed trial to the controller. A
    strategy keeps no state of its own on disk, so NNI cannot resume it.

    Args:
        controller: Class of the controller, or a function of `space` and `seed`.
        seed: Seed of the controller.
        options: Further options of the controller.
    """

    def __init__(self, controller: Callable[..., Controller], *, seed: int = 0, **options: Any) -> None:
        super().__init__()
        self._make, self._seed, self._options = controller, seed, options
        self._lock = threading.Lock()
        self._running: dict[int, tuple[ExecutableModelSpace, Trial]] = {}
        self._proposed = 0

    def extra_repr(self) -> str:
        """The controller, for NNI's messages."""
        return f"controller={getattr(self._make, '__name__', self._make)!r}, seed={self._seed}"

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        self._space = LabelSpace(model_space)
        self._controller = self._make(space=self._space, seed=self._seed, **self._options)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._training_ended)
        return model_space

    def _run(self) -> None:
        while self.wait_for_resource():
            with self._lock:
                proposals = self._controller.ask(1)
            if not proposals:
                break
            self._submit(proposals[0])
        self.engine.wait_models()

    def _cleanup(self) -> None:
        self.engine.unregister_model_event_callback(ModelEventType.TrainingEnd, self._training_ended)

    def _submit(self, architecture: Architecture) -> None:
        trial = Trial(self._proposed, architecture, 1, self._seed)
        self._proposed += 1
        try:
            model = self.model_space.freeze(replay(self._space, architecture))
        except SampleValidationError as error:
            self._tell(trial, None, str(error))
            return
        with self._lock:
            self._running[id(model)] = model, trial
        self.engine.submit_models(model)

    def _training_ended(self, event: TrainingEndEvent) -> None:
        with self._lock:
            _, trial = self._running.pop(id(event.model), (None, None))
        if trial is not None:
            metric = event.model.metrics.final if event.status == ModelStatus.Trained else None
            self._tell(trial, metric, f"NNI's model ended as {event.status}")

    def _tell(self, trial: Trial, metric: Any, reason: str) -> None:
        score = Score(float(metric), 0.0) if isinstance(metric, int | float) else None
        ended = Trial(
            trial.number,
            trial.architecture,
            trial.budget,
            trial.seed,
            "failed" if score is None else "done",
            score,
            None if score else reason,
        )
        with self._lock:
            self._controller.tell([ended])
