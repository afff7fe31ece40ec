"""Predictions for each example of a support set by a network that was adapted to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..export.standalone.adapt import Predictor

if TYPE_CHECKING:
    from torch import Tensor


def leave_one_out(predictor: Predictor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs for each example of the support set without it.

    Where only the head is adapted, the rest of the network runs once for each example.

    Args:
        predictor: The network; it need not be adapted.
        x: Inputs (examples, *input_shape).
        y: Class numbers (examples,), or scaled targets (examples, targets).

    Returns:
        Outputs (examples, classes or targets), and which examples they are for, (examples,) bool: an example that is
        the only one of its class cannot be left out. The outputs of the others are zero.
    """
    import torch

    ways = int(y.max()) + 1 if y.dim() == 1 else 0
    once = predictor.rule["head_only"] and not predictor.rule["batch_statistics"]
    represented = predictor.represented(x) if once else None
    left_out = torch.bincount(y)[y] > 1 if ways else torch.full((len(y),), len(y) > 1)
    outputs = x.new_zeros(len(x), ways or y.shape[1])
    for place in left_out.nonzero().flatten().tolist():
        others = torch.arange(len(x)) != place
        if represented is None:
            support, query = predictor.represented(x[others]), predictor.represented(x[place : place + 1])
        else:
            support, query = represented[others], represented[place : place + 1]
        adapted = predictor.adapted_to(support, y[others])
        with torch.no_grad():
            outputs[place] = predictor.outputs_of(query, adapted, ways)[0]
    return outputs, left_out
