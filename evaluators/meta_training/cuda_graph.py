"""On a GPU an outer step is hundreds of small kernels, and launching them takes longer than they do: they are recorded
once as a CUDA graph and then launched together."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace

import torch

from nas.protocols import Learner
from nas.task import TaskBatch

log = logging.getLogger(__name__)
WARM_STEPS = 3
"""Outer steps of a learner before recording: libraries choose algorithms and the optimizer makes its state in the
first. A learner that follows another has operations of its own, of which a first call may not be recorded."""

Step = Callable[[TaskBatch, Learner], None]


class Recorded:
    """A step that does what `step` does, recorded for each learner after its first `WARM_STEPS` calls on CUDA.

    `step` reads and writes tensors that stay where they are, and asks the device for no number. Batches must have equal
    shapes. A step that cannot be recorded is run as it is.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step = step
        self._graphs: dict[Learner, tuple[torch.cuda.CUDAGraph, TaskBatch] | None] = {}
        self._calls: Counter[Learner] = Counter()
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, batch: TaskBatch, learner: Learner) -> None:
        if self._stream is None:
            self._step(batch, learner)
            return
        outside = torch.cuda.current_stream(self._device)  # not of the current device, which may be another
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            self._run(batch, learner)
        outside.wait_stream(self._stream)

    def _run(self, batch: TaskBatch, learner: Learner) -> None:
        self._calls[learner] += 1
        if self._calls[learner] > WARM_STEPS and learner not in self._graphs:
            self._graphs[learner] = self._record(batch, learner)
        recorded = self._graphs.get(learner)
        if recorded is None:
            self._step(batch, learner)
            return
        graph, inputs = recorded
        for field in fields(batch):
            source, target = getattr(batch, field.name), getattr(inputs, field.name)
            if source is not None:
                target.copy_(source)
        graph.replay()

    def _record(self, batch: TaskBatch, learner: Learner) -> tuple[torch.cuda.CUDAGraph, TaskBatch] | None:
        """Nothing is computed while recording, so a step that fails to be recorded has done nothing."""
        tensors = {field.name: getattr(batch, field.name) for field in fields(batch)}
        inputs = replace(batch, **{name: x.clone() for name, x in tensors.items() if x is not None})
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._step(inputs, learner)
        except RuntimeError as error:  # an operation that waits for the device, say
            torch.cuda.synchronize()
            log.warning("%s: outer steps cannot be recorded, and so take longer: %s", learner.name, error)
            return None
        return graph, inputs
