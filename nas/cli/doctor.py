"""Command that checks the files of a run: `nas doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from .looking import Name
from .stage_two import Json, _print_json

app = typer.Typer()
"""Its command becomes one of `nas`."""


@app.command()
def doctor(
    name: Name,
    repair: Annotated[
        str | None, typer.Option(metavar="COPY", help="Write a repaired copy, a new run of this name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a run's files, and say what to do about each finding. The run itself is never changed."""
    from ..runs import doctor as checking
    from ..runs.folder import existing_run

    run = existing_run(name)
    found = checking.findings(run)
    copy, missing = (None, []) if repair is None else checking.repair(run, repair)
    if as_json:
        document = {"name": run.name, "sound": not any(each.fault for each in found)}
        document |= {"findings": [each.to_json() for each in found]}
        _print_json(document if copy is None else {**document, "copy": copy.name, "missing": missing})
    else:
        for each in found:
            typer.echo(f"{'fault' if each.fault else 'note'}: {each.part}: {each.text}")
        if not any(each.fault for each in found):
            typer.echo(f"{run.name} is sound.")
        if copy is not None:
            typer.echo(f"{copy.folder} is a repaired copy; continue it with: nas resume {copy.name}")
            for line in missing:
                typer.echo(f"  without {line}")
    if copy is None and any(each.fault for each in found):
        raise typer.Exit(1)
