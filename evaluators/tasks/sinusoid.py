"""Sinusoid regression: each task is one sine wave, to be learned from a few of its points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

import torch

from nas.bounds import LARGEST_SEED, check_number
from nas.task import Split, TaskBatch, TaskShape

from .class_family import MOST_EXAMPLES
from .counter_hash import fold, task_keys, uniform

AMPLITUDES: Final = (0.1, 5.0)
PHASES: Final = (0.0, math.pi)
INPUTS: Final = (-5.0, 5.0)


@dataclass(frozen=True, kw_only=True)
class Sinusoid:
    """y = A sin(x − φ), A in [0.1, 5), φ in [0, π), x in [−5, 5), all uniform, no noise (MAML, arXiv 1703.03400, 5.1).

    Attributes:
        shots: Points in the support set, at least 1.
        queries: Points in the query set, at least 1.
        seed: Seed of the tasks; each split is a stream of its own.
        oracle: Whether the inputs of a point are x, A and φ, so that only the sine is left to learn, as for the paper's
            oracle.
    """

    name: ClassVar[str] = "sinusoid"
    shots: int = 5
    queries: int = 25
    seed: int = 0
    oracle: bool = False

    def __post_init__(self) -> None:
        check_number(self.name, "shots", self.shots, 1, MOST_EXAMPLES)
        check_number(self.name, "queries", self.queries, 1, MOST_EXAMPLES)
        check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)

    @property
    def shape(self) -> TaskShape:
        return TaskShape((3 if self.oracle else 1,), 1, "regression")

    def check(self) -> None:
        """Accepts: there is no data to load."""

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options and the ranges."""
        ranges = {"amplitudes": list(AMPLITUDES), "phases": list(PHASES), "inputs": list(INPUTS)}
        return {"name": self.name, **asdict(self), **ranges}

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Tasks by number.

        Inputs are the same on every device; targets may differ in the last bit of the device's sine.

        Args:
            split: Split of the tasks.
            indices: Numbers of the tasks, any whole numbers from 0.
            device: Device of the tensors.

        Returns:
            The tasks, with x (tasks, points, 1), or (tasks, points, 3) for the oracle, and y (tasks, points, 1).

        Raises:
            ConfigError: The split is unknown.
        """
        keys = task_keys(seed=self.seed, split=split, indices=indices, device=device)
        amplitude, phase = uniform(fold(keys, 0), 2)[..., None].unbind(dim=1)
        x = _within(uniform(fold(keys, 1), self.shots + self.queries), INPUTS)
        amplitude, phase = _within(amplitude, AMPLITUDES), _within(phase, PHASES)
        y = (amplitude * torch.sin(x - phase)).float().unsqueeze(-1)
        inputs = (x, amplitude.expand_as(x), phase.expand_as(x)) if self.oracle else (x,)
        x = torch.stack(inputs, dim=-1).float()
        support, query = slice(self.shots), slice(self.shots, None)
        return TaskBatch(x[:, support], y[:, support], x[:, query], y[:, query])


def _within(fraction: torch.Tensor, limits: tuple[float, float]) -> torch.Tensor:
    return limits[0] + (limits[1] - limits[0]) * fraction
