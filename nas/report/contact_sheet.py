"""Picture of one task: its support set and some queries, for a look at the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError
from ..protocols.tasks import ClassNames, TaskFamily

if TYPE_CHECKING:
    from torch import Tensor

MOST_ROWS, MOST_SUPPORT, MOST_QUERIES = 10, 5, 5
CELL: Final = 0.9
"""Inches of an example."""


def write_sheet(family: TaskFamily, path: Path) -> None:
    """Writes a PNG of training task 0.

    In classification a row is a class: support examples on the left, queries on the right of the gap; images as pixels,
    series as lines, vectors as bars. In regression with one input the points are drawn, else the inputs of each example
    in a row.

    Raises:
        ConfigError: The file exists or cannot be written.
        DataError: The tasks cannot be drawn.
    """
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.exists():
        raise ConfigError(f"{path} exists; give another file with --out, or remove it")
    batch = family.tasks("train", [0], torch.device("cpu"))
    support, query = (batch.support_x[0], batch.support_y[0]), (batch.query_x[0], batch.query_y[0])
    figure = Figure(facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    if family.shape.kind == "regression":
        _draw_regression(figure, support, query)
    else:
        names = _names(family, batch.classes)
        _draw_classes(figure, support, query, names)
    try:
        figure.savefig(path, format="png", dpi=100, metadata={"Software": None})
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; give another file with --out") from error


def _names(family: TaskFamily, classes: Tensor | None) -> list[str]:
    if classes is None or not isinstance(family, ClassNames):
        return [f"class {number}" for number in range(family.shape.num_outputs)]
    names = family.classes("train")
    return [names[number] for number in classes[0].tolist()]


def _draw_classes(figure: Any, support: tuple[Tensor, Tensor], query: tuple[Tensor, Tensor], names: list[str]) -> None:
    rows = min(len(names), MOST_ROWS)
    columns = [min(int((y == 0).sum()), most) for (_, y), most in ((support, MOST_SUPPORT), (query, MOST_QUERIES))]
    width = sum(columns) + 1
    figure.set_size_inches(CELL * width + 1.6, CELL * rows + 0.4)
    axes = figure.subplots(rows, width, squeeze=False, gridspec_kw={"wspace": 0.05})
    for each in axes.flat:
        each.set_axis_off()
    for row in range(rows):
        axes[row][0].set_title(_short(names[row]), fontsize=7, loc="left", pad=2)
        for start, count, (x, y) in ((0, columns[0], support), (columns[0] + 1, columns[1], query)):
            examples = x[y == row][:count]
            for place, example in enumerate(examples):
                _draw_example(axes[row][start + place], example)
    figure.suptitle("support set | queries", fontsize=8)


def _draw_example(axes: Any, example: Tensor) -> None:
    if example.dim() == 3:
        pixels = example.clamp(0, 1).permute(1, 2, 0)
        grey = pixels.shape[2] != 3
        axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=1, aspect="auto")
        return
    values = example if example.dim() == 2 else example[None]
    if example.dim() == 1 and len(example) <= 64:
        axes.bar(range(len(example)), example.tolist(), color="tab:blue")
        return
    for channel in values:
        axes.plot(channel.tolist(), linewidth=0.8)


def _draw_regression(figure: Any, support: tuple[Tensor, Tensor], query: tuple[Tensor, Tensor]) -> None:
    figure.set_size_inches(6, 4)
    axes = figure.subplots()
    for (x, y), label, marker in ((query, "queries", "."), (support, "support set", "o")):
        if x[0].numel() == 1:
            axes.plot(x.flatten().tolist(), y[:, 0].tolist(), marker, label=label)
        else:
            axes.plot(y[:, 0].tolist(), marker, label=f"{label}: target of each example")
    axes.legend(fontsize=8)


def _short(name: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable if len(printable) <= 24 else "…" + printable[-23:]
