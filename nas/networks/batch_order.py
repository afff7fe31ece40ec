"""Test that a network treats each example of a batch by itself, whatever its place in the batch.

A few-shot score presents many examples at once. A network that uses an example's place among them, or the other
examples, can score without looking at the example. Three properties rule that out, tested on random inputs:

* repeatability: f(x) is the same when it is computed again;
* equivariance: for every order π of the batch, f(x[π]) = f(x)[π];
* independence: the output for an example is the same whatever the other examples are, apart from what the layers that
  normalise over the batch share between them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..failures import attempt

EXAMPLES: Final = 7
"""Size of the batch that networks are tested on: a prime, so that few other dimensions have it."""
SHUFFLED: Final = (3, 0, 5, 1, 6, 2, 4)
"""An order that leaves no example in its place."""
KEPT: Final = ((0, 3, 5), (1, 2, 4, 6))
"""Examples that stay when the others are replaced: one set in a first batch and its complement in a second, so that no
example, such as the one with the largest value, stays in both."""
TOLERANCE: Final = 1e-4
"""Largest difference of two outputs that counts as rounding, relative to the largest output."""
NOISE: Final = 0.1
"""Standard deviation of the noise added to the weights for the second test, which finds what zero weights hide."""
TORCH: Final = str(Path(torch.__file__).parent) + os.sep
"""Beginning of the paths of torch's own files."""
BATCH_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TIME_MAJOR: Final = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Layers that take the first dimension for time unless they are made with `batch_first=True`."""


Property = Literal["repeatability", "equivariance", "independence"]
BROKEN: Final[Mapping[Property, str]] = {
    "repeatability": "gives two outputs for one input",
    "equivariance": "gives an example another output when it stands elsewhere in the batch",
    "independence": "lets the examples of a batch see each other",
}
"""By property, what a message says of a network that lacks it."""
REMEDIES: Final[Mapping[Property, str]] = {
    "repeatability": "its scores could not be repeated: leave out layers that draw at random, like dropout, or "
    "remember their inputs",
    "equivariance": "the examples of a task have no order: compute each output from its own example alone",
    "independence": "they may be of different tasks: use nn.BatchNorm2d, of which the evaluator's `norm` says what it "
    "sees",
}


@dataclass(frozen=True)
class Fault:
    """A property that a network lacks, and where.

    Attributes:
        broken: The property.
        place: The first layer that breaks it, and its line of the source where there is one.
        remedy: Advice for the author of the network.
    """

    broken: Property
    place: str
    remedy: str

    def __str__(self) -> str:
        return f"{BROKEN[self.broken]}, in {self.place}; {self.remedy}"


@dataclass(frozen=True)
class _Case:
    """A second batch, whose outputs `rows_changed` must equal the outputs `rows` of the first batch.

    Attributes:
        tests: The property that is tested.
        changed: The second batch (EXAMPLES, *input_shape).
        rows: Rows of the outputs for the first batch.
        rows_changed: Rows of the outputs for the second batch.
    """

    tests: Property
    changed: Tensor
    rows: Sequence[int]
    rows_changed: Sequence[int]

    def holds(self, first: Tensor, second: Tensor) -> bool:
        return _close(first[list(self.rows)], second[list(self.rows_changed)])


def find_fault(network: nn.Module, like: Tensor, *, batch_layers: tuple[type[nn.Module], ...] = ()) -> Fault | None:
    """Test a network for repeatability, equivariance and independence, in training and in evaluation mode.

    The weights are tested as they are and with noise added, since a part whose initial weight is zero does not show in
    the output yet; with the noise, gradients are recorded, as in training. The network's mode, weights and buffers and
    the state of torch's generator are left unchanged.

    Args:
        network: Maps (examples, *input_shape) to (examples, outputs).
        like: A batch (any number, *input_shape), of which shape, type and device are taken.
        batch_layers: Layers that may normalise over the batch. They are bypassed in the test of independence.

    Returns:
        The first fault found, or None.

    Raises:
        Exception: The network raises an error.
    """
    modes = {module: module.training for module in network.modules()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            x, other = torch.rand(2, EXAMPLES, *like.shape[1:]).to(like)
            weights = {name: p.detach() for name, p in network.named_parameters()}
            noisy = {name: p + NOISE * torch.randn_like(p) for name, p in weights.items() if p.is_floating_point()}
            for name, parameter in network.named_parameters():
                if name in noisy:
                    noisy[name].requires_grad_(parameter.requires_grad)
            for training, values in ((True, weights), (True, noisy), (False, weights)):
                network.train(training)
                with torch.set_grad_enabled(values is noisy):
                    tested = attempt(_fault, network, {**buffers, **weights, **values}, x, other, batch_layers)
                if tested.value is not None:
                    return tested.value
                if tested.error is not None and values is weights:  # A network need not be defined at noisy weights.
                    raise tested.error
    finally:
        for module, training in modes.items():
            module.training = training
    return None


def _fault(
    network: nn.Module, state: Mapping[str, Tensor], x: Tensor, other: Tensor, batch_layers: tuple[type[nn.Module], ...]
) -> Fault | None:
    all_rows = range(EXAMPLES)
    cases = [
        _Case("repeatability", x, all_rows, all_rows),
        _Case("equivariance", x[list(SHUFFLED)], SHUFFLED, all_rows),
        *(_Case("independence", _replaced(x, other, kept), kept, kept) for kept in KEPT),
    ]
    shares_statistics = any(isinstance(module, batch_layers) for module in network.modules())
    generator_state = torch.random.get_rng_state()
    output = _run(network, state, x)
    for case in cases:
        bypassed = batch_layers if shares_statistics and case.tests == "independence" else ()
        with _bypassed(network, bypassed):
            first = _run(network, state, x) if bypassed else output
            second = _run(network, state, case.changed)
            if not case.holds(first, second) or not torch.equal(torch.random.get_rng_state(), generator_state):
                return _described(network, state, x, case, bypassed)
    return None


def _replaced(x: Tensor, other: Tensor, kept: Sequence[int]) -> Tensor:
    """The batch with all examples except `kept` replaced by those of another batch."""
    mixed = other.clone()
    mixed[list(kept)] = x[list(kept)]
    return mixed


def _run(network: nn.Module, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    copies = {name: tensor.clone() for name, tensor in state.items()}
    output: Tensor = functional_call(network, copies, (x.clone(),))
    return output.detach()


@contextmanager
def _bypassed(network: nn.Module, layers: tuple[type[nn.Module], ...]) -> Iterator[None]:
    """Layers of these types return their input."""
    with ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, layers):
                hooks.enter_context(module.register_forward_hook(lambda _, inputs, output: inputs[0]))
        yield


def _close(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal up to rounding."""
    if first.shape != second.shape or not first.is_floating_point():
        return torch.equal(first, second)
    finite = first[first.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)


# --- naming the layer and the line -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operation:
    """One call of a torch function.

    Attributes:
        layer: The innermost layer that was running.
        line: The line of the source with the call, such as 'my_space.py:12'.
        outputs: Copies of the tensors that it returned.
        drew: Whether it drew from torch's generator.
    """

    layer: nn.Module
    line: str
    outputs: tuple[Tensor, ...]
    drew: bool


class _Recorder(TorchFunctionMode):
    """Records every torch function that a network calls, except in layers that are bypassed."""

    def __init__(self, network: nn.Module, bypassed: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.network, self.running, self.bypassed = network, [network], bypassed
        self.operations: list[_Operation] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = torch.random.get_rng_state()
        result = func(*args, **(kwargs or {}))
        if any(isinstance(module, self.bypassed) for module in self.running):
            return result
        drew = not torch.equal(torch.random.get_rng_state(), before)
        parts = result if isinstance(result, tuple) else (result,)
        outputs = tuple(part.detach().clone() for part in parts if isinstance(part, Tensor))
        self.operations.append(_Operation(self.running[-1], _line(), outputs, drew))
        return result

    def run(self, state: Mapping[str, Tensor], x: Tensor) -> list[_Operation]:
        with ExitStack() as hooks:
            for module in self.network.modules():
                hooks.enter_context(module.register_forward_pre_hook(self._begins))
                hooks.enter_context(module.register_forward_hook(self._ends, always_call=True))
            with self:
                _run(self.network, state, x)
        return self.operations

    def _begins(self, module: nn.Module, inputs: Any) -> None:
        self.running.append(module)

    def _ends(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.running.pop()


def _line() -> str:
    """The innermost line of the network's source, such as 'my_space.py:12'; '' where only torch's own code runs."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(TORCH):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == __file__:
        return ""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _described(
    network: nn.Module, state: Mapping[str, Tensor], x: Tensor, case: _Case, bypassed: tuple[type[nn.Module], ...]
) -> Fault:
    """The fault of a network that fails a case, placed at the first operation that fails it."""
    first, second = (_Recorder(network, bypassed).run(state, batch) for batch in (x, case.changed))
    cause = _cause(first, second, case)
    layer = network if cause is None else cause.layer
    kind = type(layer).__name__
    name = {module: name for name, module in network.named_modules()}.get(layer)
    place = f"layer {name!r} ({kind})" if name else f"the network's own forward ({kind})"
    place += f", {cause.line}" if cause is not None and cause.line else ""
    remedy = REMEDIES[case.tests]
    if isinstance(layer, TIME_MAJOR) and not getattr(layer, "batch_first", True):
        remedy = f"nn.{kind} takes the first dimension for time, not for the batch; make it with batch_first=True"
    return Fault(case.tests, place, remedy)


def _cause(first: Sequence[_Operation], second: Sequence[_Operation], case: _Case) -> _Operation | None:
    """The first operation that draws at random, or whose results do not follow the batch; else the first that returns
    the same numbers for any batch, one for each example."""
    constant: _Operation | None = None
    for one, other in zip(first, second, strict=False):
        if one.drew or one.line != other.line or len(one.outputs) != len(other.outputs):
            return one
        for a, b in zip(one.outputs, other.outputs, strict=True):
            if a.shape == b.shape and _close(a, b):
                constant = one if constant is None and EXAMPLES in a.shape else constant
            elif not _follows(a, b, case):
                return one
    return constant


def _follows(a: Tensor, b: Tensor, case: _Case) -> bool:
    """Whether a dimension of two results follows the examples. Its length is EXAMPLES or a multiple of it, where a
    network has joined the examples with another dimension."""
    if a.shape != b.shape:
        return False
    for dim, size in enumerate(a.shape):
        if size == 0 or size % EXAMPLES:
            continue
        for sizes in {(EXAMPLES, size // EXAMPLES), (size // EXAMPLES, EXAMPLES)}:
            batch_dim = dim + (sizes[0] != EXAMPLES)
            split = (*a.shape[:dim], *sizes, *a.shape[dim + 1 :])
            one, other = a.reshape(split).movedim(batch_dim, 0), b.reshape(split).movedim(batch_dim, 0)
            if case.holds(one, other):
                return True
    return False
