"""Gallery of found networks: the picture, the command, the outcome and the card of the winner of finished runs.

python -m nas.experiments.gallery docs/gallery.md

Each command of `SEARCHES` has been run before, in the same folder of runs. Pictures are written to the folder
`pictures` beside the page.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.errors import RunError
from nas.report.outcome import outcome
from nas.runs import open_run
from nas.runs.run import Run

from .command_line import explained

SEARCHES = (
    "nas search quickstart --name quickstart",
    "nas search recipe --name recipe",
    "nas search sequences --name sequences",
)
"""Commands of the shipped searches, each with the option --name."""
INTRODUCTION = """# Gallery

What searches found, each with the command that found it. The tables are those of `card.md`, which `nas export` writes.
With several workers candidates end in another order each time, so that the same command may find another network of
much the same accuracy.
"""
NOT_RUN = "<!-- not run: needs data of your own -->\n"


def page(searches: Sequence[str], pictures: Path) -> str:
    """The page in Markdown; writes the pictures.

    Args:
        searches: Commands, each with the option --name.
        pictures: Existing folder to write PNG files to; the page stands in the folder that it is in.

    Raises:
        RunError: A run is not there, or has no winner.
    """
    return "\n".join([INTRODUCTION, *(_section(command, pictures) for command in searches)])


def _section(command: str, pictures: Path) -> str:
    words = shlex.split(command)
    run = open_run(words[words.index("--name") + 1])
    if run.winner is None:
        raise RunError(f"run {run.name!r} has no winner to show; `nas show {run.name}` says how far it is")
    headline = outcome(run.trials, run.final, (), percent=False).headline
    card, picture = _exported(run, pictures / f"gallery-{run.name}.png")
    drawn = [f"![The winner of {run.name}]({pictures.name}/{picture.name})\n"] if picture else []
    not_run = NOT_RUN if any("path=" in word for word in words) else ""
    return "\n".join([f"## {run.name}\n", *drawn, f"{not_run}```sh\n{command}\n```\n", f"{headline}\n", card])


def _exported(run: Run, picture: Path) -> tuple[str, Path | None]:
    """The tables of the winner's card, and the written picture; None where the space draws none."""
    with TemporaryDirectory() as folder:
        files = {file.name: file for file in run.export(Path(folder) / "net")}
        card = files["card.md"].read_text("utf-8").partition("\n## Use")[0]
        if "cell.png" in files:
            picture.write_bytes(files["cell.png"].read_bytes())
    title, *lines = card.splitlines()
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(line for line in lines if not line.startswith("## "))).strip()
    return f"**{title.removeprefix('# ')}**\n\n{text}\n", picture if "cell.png" in files else None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.gallery", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("page", type=Path, help="Markdown file to write")
    options = parser.parse_args(arguments)
    with explained(parser.prog):
        pictures = options.page.parent / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        options.page.write_text(page(SEARCHES, pictures), encoding="utf-8")


if __name__ == "__main__":
    main()
