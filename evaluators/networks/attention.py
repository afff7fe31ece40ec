"""Twice differentiable attention."""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch.nn.attention import SDPBackend, sdpa_kernel


def twice_differentiable() -> AbstractContextManager[None]:
    """Context in which scaled dot-product attention is computed step by step (torch's kernel `math`).

    The faster kernels that torch chooses by default have gradients that cannot be differentiated, and on a CPU they
    have no batching rule under torch.func.vmap, which then takes one task after the other. The context is entered only
    where each task has weights of its own, because this kernel keeps all attention weights in memory.
    """
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context
