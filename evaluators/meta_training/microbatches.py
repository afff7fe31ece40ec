"""Microbatches of tasks, which bound memory and get smaller when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from nas.errors import OutOfMemory
from nas.failures import out_of_memory
from nas.protocols import CARRIED, Learner, TaskFamily
from nas.task import Kind, TaskBatch

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(eq=False)  # Compared by identity, so that a learner that holds it can be a dictionary key.
class Chunk:
    """Limit on the number of tasks that are taken at once for one candidate.

    Attributes:
        size: The limit; it is halved once when memory runs out.
        halved: Whether it was halved.
    """

    size: int
    halved: bool = False

    def of(self, batch: TaskBatch, run: Callable[[TaskBatch], T]) -> list[tuple[float, T]]:
        """Results of `run` for each chunk of a batch, each with the chunk's fraction of the batch's tasks.

        Raises:
            OutOfMemory: Memory runs out a second time.
        """
        results: list[tuple[float, T]] = []
        start, tasks = 0, len(batch.support_x)
        while start < tasks:
            stop, shortage = min(start + self.size, tasks), ""
            try:
                results.append(((stop - start) / tasks, run(part_of(batch, start, stop))))
                start = stop
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or _recording():
                    raise
                shortage = str(error).partition("\n")[0] or type(error).__name__
            if shortage:  # Outside of the `except` block, where the error's traceback would keep the memory in use.
                self._halve(stop - start, shortage)
        return results

    def _halve(self, tasks: int, why: str) -> None:
        if self.halved or tasks == 1:
            again = " once more, after their number was halved" if self.halved else ""
            raise OutOfMemory(
                f"out of memory{again}, with tasks taken {tasks} at a time ({why}); set the evaluator's chunk below "
                f"{tasks}, or where it is 1 choose smaller networks, fewer queries or fewer workers"
            )
        self.size, self.halved = tasks // 2, True
        log.warning("memory ran out with tasks taken %d at a time; going on with %d at a time", tasks, self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class Chunked:
    """Learner that takes a batch in chunks, with the results of the whole batch up to rounding.

    Losses and meta-gradients are means over tasks, computed as means of the chunks, weighted by their numbers of
    tasks. Parameters under the prefix `CARRIED` are handed on from chunk to chunk.

    Attributes:
        learner: The learner of each chunk.
        chunk: Limit on the number of tasks.
    """

    learner: Learner
    chunk: Chunk

    @property
    def name(self) -> str:
        return self.learner.name

    @property
    def steps(self) -> int:
        return self.learner.steps

    @property
    def outer_optimizer(self) -> Literal["adam", "sgd"]:
        return self.learner.outer_optimizer

    @property
    def outer_lr(self) -> float:
        return self.learner.outer_lr

    def check(self, network: nn.Module, x: Tensor) -> None:
        self.learner.check(network, x)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return self.learner.initial(network, family)

    def at(self, progress: float) -> Chunked:
        return replace(self, learner=self.learner.at(progress))

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        carried: dict[str, Tensor] = {}

        def run(part: TaskBatch) -> tuple[Tensor, dict[str, Tensor]]:
            loss, gradients = self.learner.meta_gradient(network, {**parameters, **carried}, part, kind)
            carried.update({name: tensor for name, tensor in gradients.items() if name.startswith(CARRIED)})
            return loss, gradients

        parts = self.chunk.of(batch, run)
        if len(parts) == 1:
            return parts[0][1]
        mean_loss = torch.stack([share * loss for share, (loss, _) in parts]).sum()
        means = {
            name: torch.stack([share * part[name] for share, (_, part) in parts]).sum(dim=0) for name in parameters
        }
        return mean_loss, means | carried

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        parts = self.chunk.of(batch, lambda part: self.learner.adapt(network, parameters, part, kind, steps))
        return torch.cat([predictions for _, predictions in parts], dim=1)


def _recording() -> bool:
    """Whether a CUDA graph is being recorded. This takes memory of its own, without which there may be enough."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def part_of(batch: TaskBatch, start: int, stop: int) -> TaskBatch:
    """Tasks `start` to `stop - 1` of a batch."""
    parts: dict[str, Any] = {name: None if x is None else x[start:stop] for name, x in vars(batch).items()}
    return TaskBatch(**parts)
