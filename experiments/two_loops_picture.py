"""Picture of docs/concepts/two-loops.md: the five steps of the outer and the inner loop.

python -m nas.experiments.two_loops_picture docs/pictures/two_loops.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE: Final = (10.0, 5.4)  # inches, in which all places are given
DOTS = 100  # per inch
FONT = 13  # points
BLUE, ORANGE, GREY = "#2a66a8", "#b5650d", "#444444"
OUTER_FILL, INNER_FILL = "#e8f0fa", "#fdf0de"


class Box(NamedTuple):
    """Rounded box with a text in its middle.

    Attributes:
        place: Left edge, lower edge, width and height.
        edge: Colour of the edge.
        text: The text.
        fill: Colour inside.
    """

    place: tuple[float, float, float, float]
    edge: str
    text: str = ""
    fill: str = "white"


OUTER_LOOP = Box((0.1, 0.1, 9.8, 5.2), BLUE, fill=OUTER_FILL)
TASKS = [Box((2.78 + shift, 1.15 - shift, 4.34, 3.55), ORANGE, fill=INNER_FILL) for shift in (0.24, 0.12, 0.0)]
STEPS = (
    Box((0.35, 3.0, 2.0, 1.1), BLUE, "$\\bf{1}$  take a batch\nof tasks"),
    Box((0.35, 1.2, 2.0, 1.1), BLUE, "initial weights\n$\\varphi$"),
    Box((2.95, 3.5, 3.35, 0.7), ORANGE, "$\\bf{2}$  start from $\\varphi$:  $w \\leftarrow \\varphi$"),
    Box(
        (2.95, 2.37, 3.35, 0.88),
        ORANGE,
        "$\\bf{3}$  adapt:  $w \\leftarrow w - \\alpha\\,\\nabla L(w)$\nsupport set (Reptile: all examples)",
    ),
    Box(
        (2.95, 1.25, 3.35, 0.88),
        ORANGE,
        "$\\bf{4}$  MAML: measure $L_{\\rm query}(w)$\nReptile: difference $\\varphi - w$",
    ),
    Box(
        (7.6, 1.2, 2.1, 2.9),
        BLUE,
        "$\\bf{5}$  change $\\varphi$\n\nMAML: subtract\n$\\beta\\,\\nabla_{\\!\\varphi}$ mean $L_{\\rm query}(w)$\n\n"
        "Reptile: subtract\n$\\epsilon$ mean $(\\varphi - w)$",
    ),
)
CAPTIONS: Final = (
    (0.35, 4.97, BLUE, "OUTER LOOP: changes $\\varphi$, the same for all tasks"),
    (2.95, 4.43, ORANGE, "INNER LOOP of each task: changes its $w$"),
    (6.57, 2.81, ORANGE, "$k$\ntimes"),
    (4.1, 0.47, BLUE, "next outer step"),
)
"""Left end, height, colour and text of each caption."""
ARROWS: Final = (
    ((2.35, 3.85), (2.95, 3.85)),
    ((2.35, 1.75), (2.57, 1.75), (2.57, 3.65), (2.95, 3.65)),
    ((4.62, 3.5), (4.62, 3.25)),
    ((4.62, 2.37), (4.62, 2.13)),
    ((6.3, 2.55), (6.51, 2.55), (6.51, 3.07), (6.3, 3.07)),
    ((6.3, 1.69), (7.6, 1.69)),
    ((8.65, 1.2), (8.65, 0.66), (1.35, 0.66), (1.35, 1.2)),
)
"""Corners of each arrow, from its start to its end."""


def picture() -> Figure:
    """The five steps, and what MAML and Reptile do in them."""
    from matplotlib import path
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch

    figure = Figure(figsize=SIZE, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, SIZE[0]), ylim=(0, SIZE[1]))
    axes.set_axis_off()
    for box in (OUTER_LOOP, *TASKS, *STEPS):
        _draw(axes, box)
    for x, y, colour, text in CAPTIONS:
        axes.text(x, y, text, color=colour, va="center", fontsize=FONT)
    for corners in ARROWS:
        axes.add_patch(
            FancyArrowPatch(path=path.Path(corners), arrowstyle="-|>", mutation_scale=16, linewidth=1.6, color=GREY)
        )
    return figure


def _draw(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = box.place
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.12",
            linewidth=1.4,
            edgecolor=box.edge,
            facecolor=box.fill,
        )
    )
    axes.text(x + width / 2, y + height / 2, box.text, ha="center", va="center", fontsize=FONT, linespacing=1.4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.two_loops_picture", description=__doc__.splitlines()[0]
    )
    parser.add_argument("path", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    picture().savefig(options.path, dpi=DOTS, metadata={"Software": None})


if __name__ == "__main__":
    main()
