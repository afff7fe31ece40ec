"""Commands for a person's own data: `nas init` and `nas tasks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .stage_two import Json

app = typer.Typer()


@app.command()
def init(
    data: Annotated[
        Path, typer.Argument(help="A folder of class folders of images, a file of series, or a table of numbers.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The config to write; by default the data's name with .toml.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes that the search should take at most.")] = 15.0,
) -> None:
    """Write a commented config that fits your data, for `nas search`."""
    from ..init.writing import first_config

    written = first_config(data, out, minutes)
    for line in written.about:
        typer.echo(line)
    typer.echo(f"{written.path}: {written.trials} candidates, about {written.minutes:.0f} minutes on this machine.")
    typer.echo(f"Next: nas tasks {written.path} · nas search {written.path}")


@app.command()
def tasks(
    config: Annotated[str, typer.Argument(help="A TOML file, or a shipped experiment's name.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Picture of one task; by default the config's name.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the tasks of a config are: classes, examples, a picture of one task, and what is wrong."""
    from dataclasses import asdict

    from ..checks.task_report import report_of
    from ..config import parts
    from ..config import reading as configs
    from ..report.contact_sheet import write_sheet
    from .stage_two import _print_json
    from .streams import say

    family = parts.tasks_of(configs.load(config, set_ or [], note=say))
    report = report_of(family)
    picture = Path(f"{Path(config).stem}-task.png") if out is None else out
    write_sheet(family, picture)
    if as_json:
        _print_json({**asdict(report), "picture": str(picture)})
        return
    typer.echo(report.text())
    typer.echo(f"{picture} shows training task 0: the support set on the left, queries on the right.")
