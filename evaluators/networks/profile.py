"""Size and speed of a candidate's network: learned numbers, FLOPs, latency."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from nas.protocols import LEARNER
from nas.task import TaskShape

from .flops import count
from .normalisation import sees_batch

WARM_UP, PASSES = 3, 30
"""Forward passes before those that are timed, and those that are."""


def size(network: nn.Module, shape: TaskShape) -> dict[str, float]:
    """`parameters`, and `flops` of one input's forward pass (2 a multiply-add; convolutions and matrix products).

    Where operations may compute products that cannot be counted, `flops_uncounted` is their number: the network then
    takes at least `flops`.
    """
    inputs = 2  # statistics of a batch of one are refused
    flops = count(network, torch.zeros(inputs, *shape.input_shape))
    found = {"parameters": float(num_parameters(network)), "flops": flops.counted / inputs}
    return found | ({"flops_uncounted": float(len(flops.uncounted))} if flops.uncounted else {})


def num_parameters(network: nn.Module) -> int:
    """Learned numbers of the network itself, not of its learner."""
    return sum(p.numel() for name, p in network.named_parameters() if _counts(name, p))


def latency_ms(network: nn.Module, shape: TaskShape, device: torch.device) -> float:
    """Milliseconds of one input's forward pass on a device (two inputs', where a network needs a batch), on one thread
    where that is the CPU: the least of many passes, which is what others on the machine disturb least."""
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
