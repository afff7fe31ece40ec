"""Zero-cost scores: predictions, from an untrained network and a few examples, of how well it will train."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.protocols import Labelled, TaskFamily, ZeroCost
from nas.task import Kind

from ..losses import task_losses
from ..tasks.drawing import draw
from .normalisation import NORMALISATIONS
from .profile import num_parameters

TASKS: Final = 4
"""Number of training tasks whose support sets the scores use."""
EXAMPLES: Final = 25
"""Number of examples in place of a support set where tasks have none."""
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"),
    *("tanh", "hardtanh", "sigmoid", "hardsigmoid", "log_sigmoid", "hardswish", "softsign", "threshold"),
}
"""Names of activation functions in torch, also of its methods; the variants in place have a '_' at the end."""


def scores(network: nn.Module, family: TaskFamily, names: Sequence[ZeroCost]) -> dict[ZeroCost, tuple[float, ...]]:
    """Zero-cost scores by name; higher is better.

    The examples are those of the first training tasks, so that no validation or test task has an influence.

    Args:
        network: The network, untrained.
        family: Source of the tasks.
        names: Names of the scores.

    Returns:
        For each name one value for each task, or a single value where the score uses no examples.
    """
    tasks = _support(family, next(network.parameters()).device)
    shape = family.shape
    functions: Mapping[ZeroCost, Callable[[], tuple[float, ...]]] = {
        "synflow": lambda: (synflow(network, shape.input_shape),),
        "naswot": lambda: tuple(naswot(network, x) for x, _ in tasks),
        "grad-norm": lambda: tuple(grad_norm(network, x, y, shape.kind) for x, y in tasks),
        "parameters": lambda: (float(num_parameters(network)),),
    }
    return {name: functions[name]() for name in names}


def synflow(network: nn.Module, input_shape: Sequence[int]) -> float:
    """Logarithm of the synaptic flow Σ |θ · ∂R/∂θ| over all learned parameters θ; minus infinity where it is zero.

    R is the sum of the outputs for an input of ones, with the absolute values of the weights (Tanaka et al., arXiv
    2006.05467, equation 2). It is computed in float64, because it spans hundreds of orders of magnitude. Normalisation
    layers are left out, as in Abdelfattah et al., arXiv 2101.08134: they would bring the outputs of every layer back to
    one scale, and R would not depend on the weights.
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
    """Logarithm of the determinant |K + I| for examples x (examples, *input_shape).

    K_ij is the number of activation units whose inputs for the examples i and j have the same sign (Mellor et al.,
    arXiv 2006.04647, section 3). In the paper the units are ReLUs; here they are all activation functions, called as
    modules or as functions. The identity I is an addition: without it two examples that no unit distinguishes would
    give minus infinity, and in other cases it hardly matters.
    """
    with torch.no_grad(), _Codes(x) as recorded:
        network(x)
    codes = torch.cat(recorded.codes, dim=1).double()
    agreeing = codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(torch.linalg.slogdet(agreeing + torch.eye(len(x), dtype=codes.dtype, device=x.device)).logabsdet)


def grad_norm(network: nn.Module, x: Tensor, y: Tensor, kind: Kind) -> float:
    """Sum over parameter tensors of the Euclidean norm of the loss's gradient.

    Source: Abdelfattah et al., arXiv 2101.08134, section 3.

    Args:
        network: The network.
        x: Examples (examples, *input_shape).
        y: Labels (examples,), or targets (examples, outputs).
        kind: Kind of the task.
    """
    weights = [p for p in network.parameters() if p.requires_grad]
    loss = task_losses(kind, network(x)[None], y[None]).sum()
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    return float(torch.stack([g.norm() for g in gradients]).sum())


class _Codes(TorchFunctionMode):
    """Record of which activation units have an input above 0 while a network runs on x: (examples, units) bool."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.codes = [torch.zeros(len(x), 0, dtype=torch.bool, device=x.device)]

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "").removesuffix("_") in ACTIVATIONS:
            inputs = args[0] if args else kwargs["input"]
            # A tensor of another length does not hold one row for each example.
            if inputs.dim() > 1 and len(inputs) == len(self.codes[0]):
                self.codes.append((inputs > 0).flatten(1))
        return func(*args, **kwargs)


def _without_normalisation(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if name and isinstance(module, NORMALISATIONS):
            network.set_submodule(name, nn.Identity())
    return network


@lru_cache(maxsize=8)
def _support(family: TaskFamily, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Examples and labels of the support sets, drawn once in a process for equal families.

    Tasks of a data set (`nas.protocols.Labelled`) have no support sets; the first training examples stand in for them.
    """
    if isinstance(family, Labelled):
        batch = family.tasks("train", range(min(TASKS * EXAMPLES, len(family.examples("train", device)[1]))), device)
        x, y = batch.query_x[:, 0], batch.query_y[:, 0]
        return list(zip(x.tensor_split(TASKS), y.tensor_split(TASKS), strict=True))
    batch = draw(family, "train", range(TASKS), device)
    return list(zip(batch.support_x, batch.support_y, strict=True))
