"""Results of the study of pre-training and meta-learning, and their figure: curves, and losses before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from .paired_errors import PairedError

COLUMNS = 3
MARKERS = "osD^v"


@dataclass(frozen=True)
class Method:
    """Result of a method on a problem.

    Attributes:
        name: Its name.
        train_seconds: Seconds of training of each seed; 0 where an interrupted run had left the weights.
        rates: Inner rate of adaptation of each seed; empty for a method without one.
        curve: Mean error after each number of inner steps.
        losses: Mean loss on the queries after each number of inner steps.
        final: Error of each seed after the last step, and its difference from that of pre-training.
    """

    name: str
    train_seconds: tuple[float, ...]
    rates: tuple[float, ...]
    curve: tuple[float, ...]
    losses: tuple[float, ...]
    final: PairedError


@dataclass(frozen=True)
class Panel:
    """Result of a problem.

    Attributes:
        name: Its name.
        unit: What the errors are.
        outer_loop: The outer loop in words.
        examples: Support and query examples that each method saw in training.
        methods: The methods.
    """

    name: str
    unit: str
    outer_loop: str
    examples: int
    methods: tuple[Method, ...]


def save_figure(panels: Sequence[Panel], file: Path) -> None:
    """Saves a picture: the adaptation curves of each problem, then loss before against loss after adaptation.

    Args:
        panels: The problems.
        file: A .png file.
    """
    names = dict.fromkeys(method.name for panel in panels for method in panel.methods)
    colours = {name: colormaps["tab10"](number) for number, name in enumerate(names)}
    rows = math.ceil((len(panels) + 1) / COLUMNS)
    figure = Figure(figsize=(4.6 * COLUMNS, 3.9 * rows), layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes, panel in zip(places, panels, strict=False):
        for method in panel.methods:
            axes.plot(method.curve, label=method.name, color=colours[method.name], lw=1.8)
        axes.set(title=panel.name, xlabel="inner steps", ylabel=panel.unit)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    scatter = places[len(panels)]
    for number, panel in enumerate(panels):
        scatter.plot([], [], MARKERS[number % len(MARKERS)], color="grey", label=panel.name)
        for method in panel.methods:
            marker, colour = MARKERS[number % len(MARKERS)], colours[method.name]
            scatter.plot(method.losses[0], method.losses[-1], marker, color=colour, ms=7, alpha=0.8)
    scatter.set(title="loss on the queries", xscale="log", yscale="log", ylabel="after adaptation")
    scatter.set(xlabel="before adaptation")
    scatter.grid(alpha=0.3, which="both")
    scatter.legend(fontsize=8)
    for axes in places[len(panels) + 1 :]:
        axes.axis("off")
    figure.savefig(file, dpi=110)
