"""Cost of an outer step, for budgets of computation: a candidate with dearer steps then takes fewer of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import fmean, median
from typing import Literal

import torch
from torch import nn

from nas.errors import UncountedError
from nas.protocols import Learner, TaskFamily

from ..networks.flops import count_of
from ..tasks.drawing import draw
from .outer_loop import OuterLoop

POINTS = (0.0, 0.25, 0.5, 0.75)
"""Fractions of the meta-training at which a step is measured, since a learner may change on the way."""
TIMED = 3
"""Steps that are timed at each of them."""


def step_cost(
    network: nn.Module, family: TaskFamily, learner: Learner, loop: OuterLoop, unit: Literal["GFLOPs", "seconds"]
) -> float:
    """Mean cost of an outer step of a meta-training. Nothing is changed.

    GFLOPs are those of convolutions and products of matrices in drawing the tasks, in the inner loop and in both
    gradients, 2 FLOPs for a multiply-add. Seconds are medians on the device where the network is.

    Args:
        network: The network, with the learner's own parameters attached.
        family: Source of the training tasks.
        learner: The inner loop.
        loop: Options of the outer loop.
        unit: What is counted.

    Raises:
        UncountedError: Not all GFLOPs can be counted.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device

    def step(learner: Learner) -> None:
        batch = draw(family, "train", range(loop.tasks_per_step), device, queries=loop.train_queries)
        learner.meta_gradient(network, parameters, batch, family.shape.kind)

    costs = []
    for point in POINTS:
        each = partial(step, learner.at(point))
        costs.append(_gflops(each) if unit == "GFLOPs" else _seconds(each, device))
    return fmean(costs)


def _gflops(step: Callable[[], None]) -> float:
    flops = count_of(step)
    if flops.uncounted:
        raise UncountedError(
            f"the FLOPs of {', '.join(flops.uncounted)} in the meta-training cannot be counted, as unit = 'GFLOPs' "
            "needs; take unit = 'seconds'",
            flops.counted,
        )
    return flops.counted / 1e9


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    times = []
    for number in range(TIMED + 1):
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:  # The first step also prepares what later ones reuse.
            times.append(time.perf_counter() - started)
    return median(times)
