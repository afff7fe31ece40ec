"""Command for learned optimizers: `nas train-optimizer`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .stage_two import Json

if TYPE_CHECKING:
    from ..optimizers import Progress

app = typer.Typer()
"""Its commands become commands of `nas`."""


@app.command("train-optimizer")
def train_optimizer(
    config: Annotated[str, typer.Argument(help="A TOML file with tables optimizer, optimizee and training.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the export; by default 'export' in the training's folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the training's folder; by default the config's.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an optimizer and export it. The same command again continues a training that was interrupted."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    from ..config.optimizer_training import load_trainer
    from ..export.writing import check_target, write_folder
    from ..runs.folder import training_folder
    from .progress import TimeLeft
    from .streams import say

    trainer = load_trainer(config, set_ or [], note=say)
    folder = training_folder(name or Path(config).stem)
    target = folder / "export" if out is None else out
    if out is not None:
        check_target(out)
    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(30), TextColumn("{task.description}"), TimeLeft())
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=trainer.iterations)

        def show(progress: Progress) -> None:
            text = _text(progress, trainer.iterations)
            bar.update(task, completed=progress.iteration, description=text)
            if bar.disable and (progress.iteration == trainer.iterations or progress.iteration % 50 == 0):
                console.print(text, markup=False, soft_wrap=True)

        exported = trainer.run(folder, show)
    contents = dict(exported.contents())
    if not (out is None and all(_same(target / each, content) for each, content in contents.items())):
        write_folder(target, contents)
    if as_json:
        typer.echo(json.dumps({"folder": str(target), "trained": json.loads(contents["optimizer.json"])["trained"]}))
    else:
        typer.echo(f'{target} holds the optimizer. Use it with nas.optimizers.load("{target}").')


def _text(progress: Progress, of: int) -> str:
    best = "" if math.isinf(progress.best_loss) else f"   best validation loss {progress.best_loss:.4g}"
    return f"{progress.iteration}/{of}{best}"


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
