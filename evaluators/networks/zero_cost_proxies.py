"""Zero-cost scores: what an untrained network says of how well it will train, in one pass or two of a few examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.protocols import TaskFamily, ZeroCost
from nas.task import Kind

from ..losses import task_losses
from ..tasks.drawing import draw
from .normalisation import NORMALISATIONS
from .profile import num_parameters

TASKS: Final = 4
"""Training tasks whose support sets the scores see."""
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"),
    *("tanh", "hardtanh", "sigmoid", "hardsigmoid", "log_sigmoid", "hardswish", "softsign", "threshold"),
}
"""What torch calls activation functions, also as methods; those that work in place end in '_' besides."""


def scores(network: nn.Module, family: TaskFamily, names: Sequence[ZeroCost]) -> dict[ZeroCost, tuple[float, ...]]:
    """The scores of those names: one value for each of a few tasks, or one alone where no examples are seen.

    The tasks are the first of the training split, so nothing of what is scored or tested enters. More is better.
    """
    tasks = _support(family, next(network.parameters()).device)
    shape = family.shape
    ways: Mapping[ZeroCost, Callable[[], tuple[float, ...]]] = {
        "synflow": lambda: (synflow(network, shape.input_shape),),
        "naswot": lambda: tuple(naswot(network, x) for x, _ in tasks),
        "grad-norm": lambda: tuple(grad_norm(network, x, y, shape.kind) for x, y in tasks),
        "parameters": lambda: (float(num_parameters(network)),),
    }
    return {name: ways[name]() for name in names}


def synflow(network: nn.Module, input_shape: Sequence[int]) -> float:
    """The logarithm of the synaptic flow: Σ |θ · ∂R/∂θ| over all learned numbers, R the sum of the outputs for an input
    of ones with every weight made positive (Tanaka et al., arXiv 2006.05467, equation 2). In float64, for it spans
    hundreds of orders of magnitude.

    Normalisation layers are left out, as in Abdelfattah et al., arXiv 2101.08134: they would bring every layer back to
    one size, and R would say nothing of the weights. Minus infinity where nothing flows.
    """
    positive = _without_normalisation(copy.deepcopy(network)).double()
    with torch.no_grad():
        for p in positive.parameters():
            p.abs_()
    weights = [p for p in positive.parameters() if p.requires_grad]
    ones = torch.ones(1, *input_shape, dtype=torch.float64, device=weights[0].device)
    gradients = torch.autograd.grad(positive(ones).sum(), weights, materialize_grads=True)
    flow = float(sum((p.detach() * g).abs().sum() for p, g in zip(weights, gradients, strict=True)))
    return math.log(flow) if flow else -math.inf


def naswot(network: nn.Module, x: Tensor) -> float:
    """log |K + I| for examples x (examples, *input_shape): K_ij is the number of activation units that agree on
    examples i and j, whether what they are given is above 0 (Mellor et al., arXiv 2006.04647).

    Theirs are ReLUs; here all activation functions are units, of modules and called as functions alike. The identity is
    ours: without it two examples that no unit tells apart would make it minus infinity, and it hardly matters else.
    """
    with torch.no_grad(), _Codes(x) as seen:
        network(x)
    codes = torch.cat(seen.codes, dim=1).double()
    agreeing = codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(torch.linalg.slogdet(agreeing + torch.eye(len(x), dtype=codes.dtype, device=x.device)).logabsdet)


def grad_norm(network: nn.Module, x: Tensor, y: Tensor, kind: Kind) -> float:
    """The sum over parameters of the Euclidean norm of the loss's gradient, for examples x (examples, *input_shape) and
    y, their classes or targets (Abdelfattah et al., arXiv 2101.08134, section 3)."""
    weights = [p for p in network.parameters() if p.requires_grad]
    loss = task_losses(kind, network(x)[None], y[None]).sum()
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    return float(torch.stack([g.norm() for g in gradients]).sum())


class _Codes(TorchFunctionMode):
    """Keeps which activation units are given numbers above 0 while a network runs on x: (examples, units) bool."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.codes = [torch.zeros(len(x), 0, dtype=torch.bool, device=x.device)]

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "").removesuffix("_") in ACTIVATIONS:
            given = args[0] if args else kwargs["input"]
            if given.dim() > 1 and len(given) == len(self.codes[0]):  # else they are not those of the examples
                self.codes.append((given > 0).flatten(1))
        return func(*args, **kwargs)


def _without_normalisation(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if name and isinstance(module, NORMALISATIONS):
            network.set_submodule(name, nn.Identity())
    return network


@lru_cache(maxsize=8)
def _support(family: TaskFamily, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Examples and labels of the support sets, drawn once a process for equal families."""
    batch = draw(family, "train", range(TASKS), device)
    return list(zip(batch.support_x, batch.support_y, strict=True))
