"""Parts of a process's state that calls can change and that the next call would see: those of torch and NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StatePart:
    """A part of a process's state.

    Attributes:
        name: What it is, in words.
        read: Returns its value.
        restore: Sets it to an earlier value; None where that is not possible.
        same: Whether two values are the same.
        initial: Its value in a new process; None where that is not the same in all.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], Any] | None
    same: Callable[[Any, Any], bool] = operator.eq
    initial: Any = None


def _torch() -> Any:
    import torch

    return torch


def _flags() -> tuple[Any, ...]:
    torch = _torch()
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
        cudnn.enabled,
        cudnn.benchmark,
        cudnn.deterministic,
        torch.backends.mkldnn.enabled,
        torch.is_anomaly_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
    )


def _set_flags(before: tuple[Any, ...]) -> None:
    torch = _torch()
    cudnn = torch.backends.cudnn
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.set_float32_matmul_precision(before[2])
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before[3:6]
    torch.backends.mkldnn.enabled = before[6]
    torch.set_anomaly_enabled(before[7])
    torch.set_autocast_enabled("cpu", before[8])
    torch.set_autocast_enabled("cuda", before[9])


def _default_device() -> str:
    """The default device that was set; empty for none."""
    context = getattr(_torch()._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return "" if context is None else str(context.device)


def _hooks() -> int:
    """Number of the hooks that hold for all modules."""
    module = _torch().nn.modules.module
    named = (value for name, value in vars(module).items() if name.startswith("_global_"))
    return sum(len(hooks) for hooks in named if isinstance(hooks, dict))


def _modes() -> int:
    torch = _torch()
    return int(torch._C._len_torch_function_stack() + torch._C._len_torch_dispatch_stack())


def _subnormals_are_zero() -> bool:
    """Whether numbers below the least normal one are taken for zero."""
    return bool(_torch().tensor(1e-310, dtype=_torch().float64, device="cpu").mul(1.0).item() == 0.0)


def _cuda_random() -> list[Any]:
    torch = _torch()
    return [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else []


def _set_cuda_random(before: list[Any]) -> None:
    torch = _torch()
    if before:
        torch.cuda.set_rng_state_all([torch.tensor(state, dtype=torch.uint8) for state in before])


def _cuda_same(before: list[Any], now: list[Any]) -> bool:
    return not before or before == now


def _numpy() -> Any:
    import numpy

    return numpy


NUMPY_PARTS = (
    StatePart(
        "the random numbers of NumPy",
        lambda: _numpy().random.get_state(),
        lambda state: _numpy().random.set_state(state),
        same=lambda a, b: bool((a[1] == b[1]).all()) and a[2:] == b[2:],
    ),
    StatePart("errors of NumPy", lambda: _numpy().geterr(), lambda kinds: _numpy().seterr(**kinds)),
)
CHEAP_PARTS = (
    StatePart(
        "torch's default device",
        _default_device,
        lambda name: _torch().set_default_device(name or None),
        initial="",
    ),
    StatePart("torch's modes", _modes, None, initial=0),
    StatePart(
        "torch's default dtype",
        lambda: str(_torch().get_default_dtype()),
        lambda name: _torch().set_default_dtype(getattr(_torch(), name.removeprefix("torch."))),
        initial="torch.float32",
    ),
    StatePart(
        "torch's gradient mode",
        lambda: (_torch().is_grad_enabled(), _torch().is_inference_mode_enabled()),
        lambda mode: _torch().set_grad_enabled(mode[0]),
        initial=(True, False),
    ),
    StatePart("torch's threads", lambda: _torch().get_num_threads(), lambda number: _torch().set_num_threads(number)),
    StatePart("torch's flags", _flags, _set_flags),
)
"""Those that take a microsecond or two to read."""
TORCH_PARTS = (
    *CHEAP_PARTS,
    StatePart("torch's threads between operations", lambda: _torch().get_num_interop_threads(), None),
    StatePart("torch's hooks", _hooks, None, initial=0),
    StatePart("subnormal numbers", _subnormals_are_zero, lambda zero: _torch().set_flush_denormal(zero), initial=False),
    StatePart(
        "the random numbers of torch",
        lambda: _torch().default_generator.get_state(),
        lambda state: _torch().default_generator.set_state(state),
        same=lambda a, b: bool(_torch().equal(a, b)),
    ),
    StatePart("the random numbers of CUDA", _cuda_random, _set_cuda_random, same=_cuda_same),
)
