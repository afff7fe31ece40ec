"""Commands that look at runs: `nas runs` and `nas show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .stage_two import Json, _print_json, _say_notes

if TYPE_CHECKING:
    from ..analysis.run_summary import RunSummary
    from ..runs.folder import RunFolder

app = typer.Typer()
"""Its commands become commands of `nas`."""
Name = Annotated[str, typer.Argument(help="The run's name.")]


@app.command()
def runs(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove the weights that no result needs; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs, the latest first: state, candidates, best score, time since the last result, size on disk."""
    from ..locations import runs_folder
    from ..report.run_list import runs_text
    from ..runs.listing import run_rows
    from .streams import fitted, width

    rows = run_rows()
    if clean:
        _clean([row.name for row in rows], yes, as_json)
    elif as_json:
        _print_json([row.to_json() for row in rows])
    else:
        typer.echo(fitted(runs_text(rows, width()) if rows else f"There are no runs in {runs_folder()}."))


@app.command()
def show(
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it ends or Ctrl-C is pressed.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print one line a trial, with all choices and metrics.")
    ] = False,
    log: Annotated[
        int | None, typer.Option("--log", metavar="TRIAL", help="Print what a trial printed in its worker process.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a run's trials and its final result."""
    from ..report.trials_csv import trials_csv
    from ..runs import folder
    from ..runs.summary import summary
    from .watching import watch_run

    if as_json + as_csv + watch + (log is not None) > 1:
        raise ConfigError("--watch, --csv, --json and --log are four ways to show a run; give one of them")
    run = folder.existing_run(name)
    if log is not None:
        _show_log(run, log)
        return
    if watch:
        watch_run(run)
    told = summary(run, with_options=True)
    if as_json:
        _print_json(told.to_json())
    elif as_csv:
        if told.options.problem is not None:
            _say_notes(
                [f"columns index:NAME have indices of options, whose values are not known: {told.options.problem}"]
            )
        typer.echo(trials_csv(told.trials, told.options), nl=False)
    else:
        typer.echo(_summary_text(told))


def _show_log(run: RunFolder, number: int) -> None:
    """Prints what a trial printed, or says that it printed nothing."""
    from ..runs import trial_logs
    from .streams import say

    text = trial_logs.output_text(run, number)
    if text:
        typer.echo(text)
    elif trial_logs.is_full(run):
        say(f"trial {number} printed nothing, or nothing that was kept: the run's logs are full")
    else:
        say(f"trial {number} printed nothing")


def _summary_text(told: RunSummary) -> str:
    """State, trials, Pareto front and final result of a run."""
    from ..report import pareto_front, terminal
    from .streams import fitted, width

    lines = [f"{told.name}: {told.state}, {terminal.progress_text(told)}"]
    for search in filter(None, (told.search, told.control)):
        lines += [f"{'warning: ' if i == 0 else ''}{entry.text()}" for i, entry in enumerate(search.mixed)]
    lines.append(terminal.trials_text(told.trials, width=width()))
    final = told.final
    lines += terminal.choices_lines(told, width())
    if told.front:
        lines.append(pareto_front.text(told.front, percent=final is not None and final.percent))
    if final:
        lines.append(terminal.final_text(final, width()))
    return fitted("\n".join(lines))


def _clean(names: list[str], yes: bool, as_json: bool) -> None:
    """Removes the weights that no result of the named runs needs, once a person has agreed."""
    from ..report.run_list import size_text
    from ..runs.cleaning import remove, unneeded
    from ..runs.folder import run_of
    from .streams import say

    if as_json and not yes:
        raise ConfigError("--clean --json cannot ask; add --yes, or look first with `nas runs --clean`")
    found = unneeded(map(run_of, names))
    if found and not yes:
        for each in found:
            typer.echo(f"{each.run.name}: {len(each.files)} files of weights, {size_text(each.size)}", err=True)
        typer.confirm(f"Remove {size_text(sum(each.size for each in found))}?", abort=True, err=True)
    removed = remove(found, say)
    total = sum(each.size for each in removed)
    if as_json:
        _print_json({"runs": {each.run.name: len(each.files) for each in removed}, "bytes": total})
    else:
        typer.echo(f"Removed {sum(len(each.files) for each in removed)} files of weights, {size_text(total)}.")
