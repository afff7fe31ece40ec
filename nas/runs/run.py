"""Runs from Python: starting, continuing and opening one, and reading its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..analysis.final_result import FinalResult, Measured
from ..config.reading import QUICK_START, load
from ..protocols.controllers import Controller
from ..protocols.executors import AnyExecutor
from ..protocols.spaces import SearchSpace
from ..registry import user_files
from ..store.sqlite_store import Store
from ..trial import Trial
from . import artifacts, exporting, launch, resume_checks
from . import folder as run_folders
from . import summary as run_summary
from .exporting import WINNER, ExportOptions
from .extending import UNCHANGED, Extension
from .folder import RunFolder
from .progress import Progress, Silence


@dataclass(frozen=True)
class Run:
    """A run, finished or not. Each access reads its store anew.

    Attributes:
        run_folder: Its name and folder.
    """

    run_folder: RunFolder

    @property
    def name(self) -> str:
        """Its name, by which the commands of `nas` know it."""
        return self.run_folder.name

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.run_folder.folder

    @property
    def state(self) -> str:
        """'running', 'done', 'interrupted' or 'failed'."""
        with self._opened() as store:
            return run_summary.state(store, self.run_folder)

    @property
    def trials(self) -> list[Trial]:
        """The trials of its search in the order of proposal."""
        with self._opened() as store:
            return store.trials()

    @property
    def final(self) -> FinalResult | None:
        """Its final result; None for a run that is not done."""
        with self._opened() as store:
            return run_folders.final_of(store)

    @property
    def winner(self) -> Measured | None:
        """The winner of its finals with the test result; None where there is none yet, or its test failed."""
        final = self.final
        return None if final is None else final.winner

    def report(self, out: Path | str | None = None, *, space: str | None = None) -> Path:
        """Writes the report's page anew, and returns its path.

        Args:
            out: The file; None for `report.html` in the run's folder.
            space: The present place of the user's own space, FILE.py, where the file was moved; else None.

        Raises:
            NasError: The user's files that the run was started with are gone or have changed.
        """
        with self._opened() as store:
            parts = resume_checks.parts_of(store, space)
            return artifacts.write_report(self.run_folder, store, parts, None if out is None else Path(out))

    def export(self, folder: Path | str, options: ExportOptions = WINNER, *, space: str | None = None) -> list[Path]:
        """Writes a network to a folder: architecture, picture, source code, meta-learned weights.

        Args:
            folder: A folder that does not exist yet, or is empty.
            options: Which network, and which parts of the folder; by default all of the winner.
            space: As for `report`.

        Returns:
            The files.

        Raises:
            NasError: The run has no winner or no such trial, or the folder cannot be used.
        """
        with self._opened() as store:
            config = resume_checks.config_with(store, space)
            parts = resume_checks.parts_of(store, space)
            return exporting.export_network(self.run_folder, store, parts, Path(folder), options, config)

    def _opened(self) -> Store:
        return Store.open(self.run_folder.store_path, readonly=True)


def run_search(
    source: str | None = None,
    *,
    space: str | type[SearchSpace] | None = None,
    controller: str | type[Controller] | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    progress: Progress | None = None,
    executor: AnyExecutor | None = None,
) -> Run:
    """Carries out a whole run, as `nas search` does.

    A script calls it under `if __name__ == "__main__":`, since worker processes import the script. In the main thread
    the first Ctrl-C ends the run after what is running; in another thread signals are not handled.

    Args:
        source: A TOML file or the name of a shipped experiment; None for the quick start.
        space: Search space in place of the config's: a class at the top of a .py file, its name FILE.py:NAME, or the
            name of another space.
        controller: Controller in place of the config's, likewise.
        overrides: Keys of the config to set, as KEY=VALUE.
        name: The run's name; None for the config's name with a number.
        progress: Receiver of its events; None for none.
        executor: Place where candidates are evaluated, in place of the config's engine: any
            `concurrent.futures.Executor`, `search.workers` calls at a time. It stays open.

    Returns:
        The run; its state is 'done', or 'interrupted' where it was asked to stop.

    Raises:
        NasError: The config cannot be carried out, or the search failed.
    """
    names = (user_files.name_of(part) if isinstance(part, type) else part for part in (space, controller))
    space_name, controller_name = names
    config = load(source, overrides, space=space_name, controller=controller_name)
    run = run_folders.new_run(name, QUICK_START if source is None else source)
    return Run(launch.start(config, run, Silence() if progress is None else progress, executor).run)


def open_run(name: str) -> Run:
    """The run of a name.

    Raises:
        RunError: There is no such run; the message lists those that there are.
    """
    return Run(run_folders.existing_run(name))


def resume(
    name: str,
    *,
    extension: Extension = UNCHANGED,
    progress: Progress | None = None,
    executor: AnyExecutor | None = None,
) -> Run:
    """Continues a run where it was, as `nas resume` does; a run that is done stays as it is unless it is extended.

    Args:
        name: The run's name.
        extension: More candidates, failed ones again, or an end of the search; by default none of these.
        progress: Receiver of its events; None for none.
        executor: As for `run_search`.

    Raises:
        NasError: The run cannot be continued, or the search failed.
    """
    run = run_folders.existing_run(name)
    return Run(
        launch.resume(run, Silence() if progress is None else progress, extension=extension, executor=executor).run
    )
