"""Costs and zero-cost scores of candidates' networks, which are computed without training."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch

from nas.architecture import Architecture
from nas.failures import attempt
from nas.protocols import Cost, SearchSpace, TaskFamily, ZeroCost
from nas.task import TaskShape

from ..meta_training.devices import device_of
from .building import assemble, flops_of
from .normalisation import Normalisation
from .profile import latency_ms, num_parameters
from .zero_cost_proxies import scores


def cost_of(
    space: SearchSpace,
    architecture: Architecture,
    shape: TaskShape,
    normalisation: Normalisation,
    cost: Cost,
    *,
    device: str,
) -> float:
    """The cost of a network (`nas.protocols.Cost`); parameters and FLOPs are those of a score's metrics.

    Raises:
        UncountedError: Not all FLOPs can be counted.
        SpaceError: The space has no such network. An error of the space's `build` is raised as it is.
    """
    if cost == "parameters":
        with torch.device("meta"):  # No memory is needed for a network that is too large for this machine.
            on_meta = attempt(assemble, space, architecture, shape, normalisation)
        if on_meta.error is None:
            return float(num_parameters(on_meta.value))
    with torch.random.fork_rng(devices=[]):
        network = assemble(space, architecture, shape, normalisation)
        if cost == "latency_ms":
            return latency_ms(network, shape, device_of(device))
        return flops_of(network, shape) if cost == "flops" else float(num_parameters(network))


def features_of(
    space: SearchSpace,
    architecture: Architecture,
    family: TaskFamily,
    normalisation: Normalisation,
    names: Sequence[ZeroCost],
) -> dict[str, float]:
    """Zero-cost scores (`zero_cost_proxies.py`) of the network with the initial weights of seed 0.

    They are computed on the CPU and rounded to six figures, so that a controller's proposals do not depend on the
    device or the number of threads. Errors of the space's `build`, and of a network that does not fit the tasks, are
    raised as they are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = assemble(space, architecture, family.shape, normalisation)
    return {name: float(f"{fmean(values):.6g}") for name, values in scores(network, family, names).items()}
