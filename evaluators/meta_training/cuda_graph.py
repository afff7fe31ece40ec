"""Recording of outer steps as CUDA graphs.

On a GPU an outer step is hundreds of small kernels, whose launches take longer than their work. They are recorded once
as a CUDA graph and then launched together.
"""

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
"""Outer steps of a learner before recording.

In the first steps libraries choose algorithms and the optimizer makes its state. A learner that follows another one has
operations of its own, whose first call must not be recorded.
"""

Step = Callable[[TaskBatch, Learner], None]


class Recorded:
    """Outer step that is recorded for each learner after its first `WARM_STEPS` calls on CUDA.

    The recorded function must read and write tensors that stay at their place in memory, and must not copy a number
    from the device. All batches must have equal shapes. A step that cannot be recorded is run as it is.

    Args:
        step: The outer step.
        device: Device on which it runs; on a CPU nothing is recorded.
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
        outside = torch.cuda.current_stream(self._device)  # The current device may be another one.
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
        """The graph and its inputs. Recording computes nothing, so a step that cannot be recorded has no effect."""
        tensors = {field.name: getattr(batch, field.name) for field in fields(batch)}
        inputs = replace(batch, **{name: x.clone() for name, x in tensors.items() if x is not None})
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._step(inputs, learner)
        except RuntimeError as error:  # For example, an operation waits for the device.
            torch.cuda.synchronize()
            log.warning("%s: outer steps cannot be recorded, and so take longer: %s", learner.name, error)
            return None
        return graph, inputs
