"""Commands of the command line.

Standard output holds results only; progress and errors go to standard error. Modules are imported within the commands,
so that `nas --help` is quick."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import INTERRUPTED, ConfigError, NasError
from . import doctor, learned_optimizers, looking, own_data, stage_two
from .looking import Name
from .stage_two import Json
from .streams import fitted, make_readable, make_safe, say, width

if TYPE_CHECKING:
    from ..registry import builtin
    from ..runs.launch import Outcome
    from ..runs.progress import Progress
    from .progress import TerminalProgress

app = typer.Typer(
    help="Search for a network that learns from few examples.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Quiet = Annotated[bool, typer.Option("--quiet", help="Print no progress, only the result.")]
MovedSpace = Annotated[
    str | None, typer.Option("--space", metavar="FILE.py", help="Where your own space's file is now, if it was moved.")
]


@app.command()
def search(
    config: Annotated[str | None, typer.Argument(help="A TOML file, or a shipped experiment's name.")] = None,
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Search space in place of CONFIG's: a name, or your own as FILE.py:NAME."),
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Controller in place of CONFIG's: a name, or your own as FILE.py:NAME."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; by default the config's with a number.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a search and measure what it finds. Without CONFIG: the quick start, which needs no download."""
    from ..config import reading as configs
    from ..runs import folder as runs
    from ..runs import launch

    loaded = configs.load(config, set_ or [], space=space, controller=controller, note=say)
    run = runs.new_run(name, configs.QUICK_START if config is None else config)
    started = time.monotonic()
    with _progress(quiet) as progress:
        outcome = launch.start(loaded, run, progress)
    _ended(outcome, as_json, time.monotonic() - started)


@app.command()
def compare(  # the options of a command are its parameters
    config: Annotated[str, typer.Argument(help="A TOML file, or a shipped experiment's name.")],
    controllers: Annotated[
        str, typer.Option(help="Controllers, separated by commas: their names, or tables [compare.NAME] of the config.")
    ] = "reinforce,evolution,random",
    seeds: Annotated[int, typer.Option(help="Number of searches of each controller.")] = 5,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config.")
    ] = None,
    reach: Annotated[
        str, typer.Option(help="Scores, separated by commas, for which the time to reach them is reported.")
    ] = "",
    name: Annotated[
        str | None,
        typer.Option(help="The comparison's name and that of its folder in runs/; by default compare-CONFIG."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results, in place of --name.")] = None,
    as_json: Json = False,
) -> None:
    """Compare controllers at equal budget, on the same tasks and seeds. Continues a comparison that was interrupted."""
    from ..compare import searches as comparing
    from ..config import reading as configs
    from ..report import comparison
    from ..runs import folder as runs

    loaded, levels = configs.load(config, set_ or [], note=say), _numbers("--reach", reach)
    folder = runs.comparison_folder(name, out, config)
    labels = [label.strip() for label in controllers.split(",") if label.strip()]
    with _shown_progress() as progress:
        results = comparing.compare(loaded, labels, seeds, folder, progress)
    if results is None:
        say(f"interrupted; {folder} holds all that was done, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED)
    compared = comparison.Comparison.of(results, seconds=loaded.search.seconds > 0, levels=levels)
    files = comparison.write(compared, folder, f"{config}, {seeds} seeds")
    if as_json:
        _print_json({**compared.to_json(), "files": [str(path) for path in files]})
    else:
        typer.echo(comparison.text(compared))
        typer.echo(f"{folder} holds {', '.join(path.name for path in files)}.")


@app.command()
def resume(
    name: Name,
    space: MovedSpace = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10**7, help="Extend the search to N candidates in all.")
    ] = None,
    retry: Annotated[
        Literal["failed"] | None, typer.Option(metavar="failed", help="Evaluate failed candidates again.")
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="End the search; hold the finals on what is there.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Continue a run that was interrupted or killed, or extend one. Nothing is computed twice."""
    from ..runs import folder as runs
    from ..runs import launch
    from ..runs.extending import Extension

    extension = Extension(trials, retry is not None, finish)
    run = runs.existing_run(name)
    started = time.monotonic()
    with _progress(quiet) as progress:
        outcome = launch.resume(run, progress, space, extension)
    _ended(outcome, as_json, time.monotonic() - started)


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The run's name; several for one page of all.")],
    space: MovedSpace = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page on this machine, always as it is now, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of --serve; by default a free one is taken.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="The page's file; by default report.html in the run's folder."),
    ] = None,
) -> None:
    """Write a run's report as a web page, and print where it and the TensorBoard logs are."""
    from ..runs import reporting
    from ..runs.run import open_run

    several = len(set(names)) > 1
    if several and space is not None:
        raise ConfigError(f"--space {space} is of one run's space; leave it out for several runs")
    if port is not None and not serve:
        raise ConfigError(f"--port {port} is of the page that --serve shows; give --serve too, or leave it out")
    if serve and out is not None:
        raise ConfigError(f"--out {out} is of a page that is written, and --serve shows it; leave out one of them")
    if serve:
        with reporting.live_server(names, port or 0, space) as server:
            typer.echo(f"http://127.0.0.1:{server.server_port}/ until Ctrl-C")
            server.serve_forever()
    elif several:
        typer.echo(reporting.write_side_by_side(names, out))
    else:
        run = open_run(names[0])
        typer.echo(f"{run.report(out, space=space)}\ntensorboard --logdir {run.run_folder.logs}")


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="A folder that does not exist yet, or is empty.")],
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="PARTS", help="Parts, with commas: all, source, onnx, picture, card."),
    ] = None,
    point: Annotated[
        int | None, typer.Option(metavar="TRIAL", help="Number of a trial to export in place of the winner.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Also train the network plainly, for `nas adapt --compare`.")
    ] = False,
    space: MovedSpace = None,
) -> None:
    """Write the winner to a folder: architecture, picture, source code, meta-learned weights, ONNX, card."""
    from ..export.contents import chosen
    from ..runs.exporting import ExportOptions
    from ..runs.run import open_run

    options = ExportOptions(chosen(format_ or []), point, pretrained)
    for path in open_run(name).export(out, options, space=space):
        typer.echo(path)


for others in (looking, doctor, stage_two, own_data, learned_optimizers):
    app.registered_commands += others.app.registered_commands


@app.command("list")
def list_(
    room: Annotated[
        str | None,
        typer.Argument(help="spaces, controllers, evaluators, tasks, learners, augmentations, optimizers or engines."),
    ] = None,
) -> None:
    """List the components that a config can name, with a line on each."""
    from ..config.reading import shipped
    from ..errors import nearest
    from ..registry import builtin, components

    kinds: dict[str, builtin.Room] = {
        "spaces": "space",
        "controllers": "controller",
        "evaluators": "evaluator",
        "tasks": "tasks",
        "learners": "learner",
        "augmentations": "augmentation",
        "optimizers": "optimizer",
        "engines": "engine",
    }
    if room is not None and room not in kinds:
        raise ConfigError(f"there is no list of {room!r}: {nearest(room, kinds)}")
    for heading in [room] if room else kinds:
        typer.echo(f"{heading}:")
        lines = {name: _about(kinds[heading], name) for name in components.names(kinds[heading])}
        lines |= builtin.NAME_FORMS.get(kinds[heading], {})
        width = max(map(len, lines), default=0) + 2
        for name, about in lines.items():
            typer.echo(f"  {name:<{width}}{about}")
    if room is None:
        typer.echo("experiments: " + ", ".join(shipped()))


@app.command()
def check(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE.py:NAME", help="Space, controller, tasks or learner: yours, or a name."),
    ],
    inputs: Annotated[str, typer.Option(help="Input shape of the task that a space is checked with.")] = "1,28,28",
    outputs: Annotated[int, typer.Option(help="Outputs of that task: ways, or the size of the target.")] = 5,
    learner: Annotated[str, typer.Option(help="Learner that a space is checked with.")] = "anil",
) -> None:
    """Check the laws of a search space, controller, task family or learner; measure a space's size and speed."""
    from ..checks import component_report, controller_report
    from ..checks.space_report import check as check_target
    from ..registry import components
    from ..task import TaskShape

    try:
        shape = TaskShape(tuple(int(size) for size in inputs.split(",")), outputs)
        if min(*shape.input_shape, outputs) < 1:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--inputs {inputs!r} --outputs {outputs}: give whole numbers from 1, such as 1,28,28 and 5"
        ) from None
    room = components.room_of(target)
    if room in ("tasks", "learner"):
        typer.echo(component_report.check(room, target))
    else:
        typer.echo(controller_report.check(target) if room == "controller" else check_target(target, shape, learner))


def main() -> None:
    """Runs one command. Exit status: 0 done, 1 failed, 2 wrong usage or config, 130 interrupted."""
    make_safe()
    make_readable()
    if not _in_a_folder():
        say("the working directory was deleted; change to another folder (cd) and repeat the command")
        raise SystemExit(2)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        app()
    except NasError as error:
        say(str(error))
        raise SystemExit(error.exit_status) from None
    except OSError as error:
        say(f"{error.filename or 'the system'}: {error.strerror or error}")
        raise SystemExit(1) from None
    except _Interrupted:
        raise SystemExit(INTERRUPTED) from None


class _Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP. It is no Exception or SystemExit, which `attempt` takes for an error of foreign code,
    and no KeyboardInterrupt, for which typer has another exit status."""


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """Handles signals outside a search, which has a handler of its own."""
    raise _Interrupted


def _in_a_folder() -> bool:
    """Whether the working directory is there. Without one torch's libraries end the process."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _about(room: builtin.Room, name: str) -> str:
    """The first line of a component's docstring, or why it cannot be loaded."""
    from ..registry import components

    try:
        lines = (components.find(room, name).__doc__ or "").strip().splitlines()
    except ConfigError as error:
        return str(error)
    return lines[0] if lines else ""


def _progress(quiet: bool) -> AbstractContextManager[Progress]:
    """Receiver of a run's events, as long as the context lasts."""
    from ..runs.progress import Silence

    return nullcontext(Silence()) if quiet else _shown_progress()


@contextmanager
def _shown_progress() -> Iterator[TerminalProgress]:
    """Progress on the terminal. SIGTERM and SIGHUP, which would leave it without a cursor, end it as Ctrl-C does."""
    from .progress import TerminalProgress

    with TerminalProgress().shown() as progress:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` has SIGHUP ignored
                signal.signal(number, _interrupted)
        yield progress


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ended(outcome: Outcome, as_json: bool, seconds: float) -> None:
    """Prints the outcome of a run, and ends a command whose run was interrupted with its status."""
    try:
        _print_outcome(outcome, as_json, seconds)
    except OSError:
        if outcome.state != "interrupted":  # The terminal may be gone, and the run has been stopped for it.
            raise
    if outcome.state == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _print_outcome(outcome: Outcome, as_json: bool, seconds: float) -> None:
    from ..analysis.final_result import TABLE
    from ..report.terminal import final_text
    from ..runs import summary as run_summary

    name, folder = outcome.run.name, outcome.run.folder
    if as_json:
        _print_json(run_summary.summary(outcome.run, with_options=True).to_json())
    elif outcome.final is None:
        typer.echo(fitted(f"interrupted; {folder} holds all that was done. Continue with: nas resume {name}"))
    else:
        typer.echo(fitted(final_text(outcome.final, width())))
        typer.echo(fitted(f"{_duration(seconds)}. {folder} holds the trials, the report and the winner."))
        support = "my_images/" if outcome.final.percent else "my_points.csv"
        if outcome.final.kind == TABLE:
            typer.echo(f"Next: nas report {name}")
        else:
            commands = f"nas report {name} · nas export {name} --out my_net · nas adapt my_net --support {support}"
            typer.echo(fitted(f"Next: {commands}"))


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} {text!r} cannot be used; give numbers with commas between, such as 93.7,94")
    return numbers


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, allow_nan=False))


if __name__ == "__main__":
    main()
