"""Picture of a finished run: the winner's cell, and test accuracy after each inner step beside the baseline network's.

python -m nas.experiments.run_picture first docs/pictures/quickstart.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.errors import RunError
from nas.runs import open_run

from .command_line import explained

SIZE = (10.0, 3.2)  # inches
DOTS = 100  # per inch


def save(name: str, path: Path) -> None:
    """Draws the picture of a run of a classification search.

    Args:
        name: Name of the run.
        path: PNG file to write.

    Raises:
        RunError: There is no such run, it has no winner or no baseline, or its space draws no cells.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    run = open_run(name)
    final = run.final
    if final is None or final.winner is None or final.baseline is None:
        raise RunError(f"run {name!r} has no winner and baseline to draw; `nas show {name}` says how far it is")
    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    with TemporaryDirectory() as folder:
        cell = next((file for file in run.export(Path(folder) / "net") if file.name == "cell.png"), None)
        if cell is None:
            raise RunError(f"the space of run {name!r} draws no cells; give it a method `graph`")
        left.imshow(Image.open(cell))
    left.set_axis_off()
    left.set_title(f"cell of the winner, {final.winner.parameters or 0:,.0f} parameters", fontsize="medium")
    for label, measured in (("winner", final.winner), (f"{final.baseline.name} baseline", final.baseline)):
        curve, estimate = [100 * value for value in measured.curve], measured.estimate
        [line] = right.plot(range(len(curve)), curve, marker="o", markersize=3, label=label)
        ends = [[curve[-1] - 100 * estimate.low], [100 * estimate.high - curve[-1]]]
        right.errorbar([len(curve) - 1], curve[-1:], yerr=ends, color=line.get_color(), capsize=3)
    right.set(xlabel="inner steps", ylabel="test accuracy in %")
    right.set_title(f"adaptation to {final.tasks} new tasks", fontsize="medium")
    right.legend(frameon=False, loc="center right")
    figure.savefig(path, dpi=DOTS, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.run_picture", description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name of a finished run")
    parser.add_argument("path", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    with explained(parser.prog):
        save(options.run, options.path)


if __name__ == "__main__":
    main()
