"""Attention that can be differentiated twice."""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch.nn.attention import SDPBackend, sdpa_kernel


def twice_differentiable() -> AbstractContextManager[None]:
    """Within it, scaled dot-product attention is computed step by step (torch's kernel `math`).

    torch's faster kernels, which it takes by itself, have gradients that cannot be differentiated, and on a CPU no
    batching rule under torch.func.vmap, so that it takes one task after the other. It is entered where each task has
    weights of its own, and nowhere else: this kernel keeps all attention weights in memory.
    """
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context
