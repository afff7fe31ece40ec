"""Figure of a DADA search: how weights, probabilities and magnitudes move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from nas.augmentation_policy import OPERATIONS
from nas.evaluators.augmentation.dada.distribution import PAIRS, PolicyParameters
from nas.evaluators.augmentation.dada.search import Epoch, weights_by_operation

LABELLED = 6
"""Number of operations that a panel names: those that moved furthest."""


def save_figure(history: Sequence[Epoch], file: Path) -> None:
    """Saves a picture of three panels, each with a curve for each operation over epochs.

    Args:
        history: State at the start and after each epoch.
        file: A .png file.
    """
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = {
        "weight: expected number in a sub-policy": [list(weights_by_operation(e.parameters).values()) for e in history],
        "probability": [_by_operation(e.parameters, e.parameters.gates.sigmoid().tolist()) for e in history],
        "magnitude": [_by_operation(e.parameters, e.parameters.magnitudes.tolist()) for e in history],
    }
    for axes, (title, rows) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        curves = np.array(rows)
        moved = np.argsort(-np.abs(curves[-1] - curves[0]))
        for number, operation in enumerate(OPERATIONS):
            named = number in moved[:LABELLED]
            style = {"lw": 1.8, "label": operation} if named else {"lw": 0.8}
            axes.plot(curves[:, number], color=colormaps["tab20"](number), **style)
        axes.set(title=title, xlabel="epoch")
        axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def _by_operation(parameters: PolicyParameters, values: Sequence[Sequence[float]]) -> list[float]:
    """Means of a value over the sub-policies that an operation is in, weighted by the sub-policies' weights."""
    weights = parameters.logits.softmax(dim=0).tolist()
    means = []
    for number in range(len(OPERATIONS)):
        places = [(row, pair.index(number)) for row, pair in enumerate(PAIRS) if number in pair]
        total = sum(weights[row] for row, _ in places)
        means.append(sum(weights[row] * values[row][place] for row, place in places) / total)
    return means
