"""FLOPs of a computation: convolutions and matrix products, including those inside composite operations of torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]
aten = torch.ops.aten

PRODUCTS = re.compile(
    r"(?:^|_)(?:(?:add)?mm|bmm|mv|dot|vdot|matmul|einsum|conv\w*|attention|rnn|lstm|gru|linear|trilinear|linalg|fft|cholesky|qr|"
    r"svd|lu|inverse|solve|matrix|kron|pdist|cdist|encoder)(?:_|$)"
)
"""Parts of the names of torch's operations that may compute products."""
NO_PRODUCTS = {"linalg_vector_norm", "linalg_cross", "linalg_diagonal", "_linalg_check_errors"}
"""Operations with such a name that compute none."""


@dataclass(frozen=True)
class Flops:
    """FLOPs of a computation.

    Attributes:
        counted: FLOPs, 2 for a multiply-add, of convolutions and matrix products. A bilinear form counts as two
            products, and distances count as one product of their pairs. Element-wise operations, lookups and
            interpolation are left out.
        uncounted: Names of operations that may compute products and have no formula here; with them it takes
            more than `counted`.
    """

    counted: int
    uncounted: tuple[str, ...]


def count(network: nn.Module, x: Tensor) -> Flops:
    """FLOPs of `network(x)` on the CPU, for all examples of x (examples, *input_shape) together."""
    with torch.no_grad():
        return count_of(lambda: network(x))


def count_of(compute: Callable[[], object]) -> Flops:
    """FLOPs of everything that a function computes, gradients included."""
    with _attention_in_parts():
        counter = FlopCounterMode(display=False, custom_mapping=dict(FORMULAS))
        with counter, _Unknown(counter.flop_registry) as unknown:
            compute()
    return Flops(int(counter.get_total_flops()), tuple(sorted(unknown.names)))


class _Unknown(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch's __init_subclass__
    """Record of the operations that may compute products and for which a counter has no formula."""

    def __init__(self, known: Mapping[Any, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.known, self.names = known, set[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, options = str(func), dict(kwargs or {})
        packet = getattr(func, "_overloadpacket", func)
        if packet not in self.known:
            if hasattr(func, "decompose"):  # The parts then pass through this mode one by one.
                with self:
                    parts = func.decompose(*args, **options)
                if parts is not NotImplemented:
                    return parts
            namespace, operation = (*name.split("."), "")[:2]
            known_namespace = namespace in ("aten", "prim", "prims", "profiler")
            if not known_namespace or (PRODUCTS.search(operation) and operation not in NO_PRODUCTS):
                self.names.add(name.removesuffix(".default"))
        return func(*args, **options)


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """Context in which torch's attention layers and encoders run as the operations that they are made of."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


# --- formulas of the shapes of an operation's arguments ---------------------------------------------------------------


def _lstm_layer(x: Shape, inner: Shape, recurrent: Shape, *_: Any, **__: Any) -> int:
    """x (steps, examples, inputs) in any order of the first two; the weights (4 hidden, inputs), (4 hidden, hidden)."""
    return 2 * math.prod(x[:-1]) * (math.prod(inner) + math.prod(recurrent))


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """(examples, heads, queries, size), (…, keys, size) and (…, keys, value's size)."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _bilinear(left: Shape, weight: Shape, right: Shape, *_: Any, **__: Any) -> int:
    """(examples, n), (outputs, n, m), (examples, m): each output's matrix times the left side, then times the right."""
    outputs, n, m = weight
    return 2 * left[0] * outputs * m * (n + 1)


def _matrix_vector(matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _added_matrix_vector(_: Shape, matrix: Shape, *__: Any, **___: Any) -> int:
    return 2 * math.prod(matrix)


def _added_products(_: Shape, one: Shape, other: Shape, *__: Any, **___: Any) -> int:
    """A sum of matrix products, (batch, n, m) and (batch, m, p)."""
    return 2 * math.prod(one) * other[-1]


def _outer(_: Shape, one: Shape, other: Shape, *__: Any, **___: Any) -> int:
    return 2 * math.prod(one) * math.prod(other)


def _distances(one: Shape, other: Shape, *_: Any, **__: Any) -> int:
    """A difference and a sum for each pair in each of the last dimension's numbers."""
    return 2 * math.prod(one) * other[-2]


def _distances_within(rows: Shape, *_: Any, **__: Any) -> int:
    return rows[0] * (rows[0] - 1) * rows[1]


def _convolution_backward(gradient: Shape, x: Shape, weight: Shape, *options: Any, **_: Any) -> int:
    """As many FLOPs as the convolution for each of the two derivatives that is wanted.

    torch 2.13 counts the derivative by the weights of a grouped convolution as that of a full one. `options` are those
    of aten.convolution_backward after the weight: (biases, stride, padding, dilation, transposed, output padding,
    groups, which derivatives are wanted).
    """
    transposed, wanted = options[4], options[7]
    pixels = math.prod((x if transposed else gradient)[2:])
    return 2 * x[0] * pixels * math.prod(weight) * (bool(wanted[0]) + bool(wanted[1]))


FORMULAS: Mapping[Any, Callable[..., int]] = {
    aten.convolution_backward: _convolution_backward,
    aten.mkldnn_rnn_layer: _lstm_layer,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._trilinear: _bilinear,
    aten.mv: _matrix_vector,
    aten.dot: _matrix_vector,
    aten.vdot: _matrix_vector,
    aten.addmv: _added_matrix_vector,
    aten.addbmm: _added_products,
    aten.addr: _outer,
    aten._cdist_forward: _distances,
    aten._euclidean_dist: _distances,
    aten._pdist_forward: _distances_within,
}
