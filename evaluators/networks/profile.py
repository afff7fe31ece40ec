"""Size and speed of a candidate's network: learned parameters, FLOPs, latency."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from nas.protocols import LEARNER
from nas.task import TaskShape

from .flops import count
from .normalisation import sees_batch

WARM_UP, PASSES = 3, 30
"""Numbers of forward passes before the timed ones, and of timed ones."""


def size(network: nn.Module, shape: TaskShape) -> dict[str, float]:
    """Size of a network by metric.

    Returns:
        `parameters`, and `flops` of the forward pass of one input (2 for a multiply-add; convolutions and matrix
        products). Where operations may compute products that cannot be counted, `flops_uncounted` is the number of
        their kinds; the network then takes at least `flops`.
    """
    inputs = 2  # Batch normalisation refuses the statistics of a single example.
    flops = count(network, torch.zeros(inputs, *shape.input_shape))
    metrics = {"parameters": float(num_parameters(network)), "flops": flops.counted / inputs}
    return metrics | ({"flops_uncounted": float(len(flops.uncounted))} if flops.uncounted else {})


def num_parameters(network: nn.Module) -> int:
    """Number of learned parameters of the network, without those of its learner."""
    return sum(p.numel() for name, p in network.named_parameters() if _counts(name, p))


def latency_ms(network: nn.Module, shape: TaskShape, device: torch.device) -> float:
    """Milliseconds of the forward pass of one input on a device; on one thread where the device is the CPU.

    A network with statistics of the batch is given two inputs. The result is the minimum of many passes, which other
    programs on the machine disturb least.
    """
    network = network.to(device)
    inputs = 2 if sees_batch(network) else 1
    x = torch.rand(inputs, *shape.input_shape, device=device, generator=torch.Generator(device).manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            passes = [_timed(network, x) for _ in range(WARM_UP + PASSES)]
    finally:
        torch.set_num_threads(before)
    return 1000 * min(passes[WARM_UP:])


def _timed(network: nn.Module, x: Tensor) -> float:
    started = time.perf_counter()
    network(x)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - started


def _counts(name: str, parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and not name.startswith(LEARNER)
