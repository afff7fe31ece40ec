"""Reports of one run or several, written to a file or served while the runs go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

from ..analysis.protocol_check import MEASURED
from ..architecture import Architecture
from ..locations import runs_folder
from ..registry import user_files
from ..report.rendering import write_text
from ..report.serving import Site, server
from ..report.side_by_side import ShownRun, html_text
from ..store.lock import in_use
from ..store.sqlite_store import Store
from ..trial import Score
from .artifacts import OTHER_FILE, report_text
from .folder import RunFolder, existing_run
from .resume_checks import parts_of
from .summary import summary

LONGEST_NAME = 200
"""Characters of the name of a page of several runs."""


def write_side_by_side(names: Sequence[str], out: Path | None = None) -> Path:
    """Writes a page with several runs, and returns its path.

    Args:
        names: Names of the runs.
        out: The file; None for one in the folder of runs, with their names.

    Raises:
        NasError: There is no such run, or the page cannot be written.
    """
    runs = [existing_run(name) for name in dict.fromkeys(names)]
    path = out or runs_folder() / f"{'+'.join(run.name for run in runs)[:LONGEST_NAME]}.html"
    write_text(path, html_text([_shown(run) for run in runs]), OTHER_FILE)
    return path


def live_server(names: Sequence[str], port: int, space: str | None = None) -> ThreadingHTTPServer:
    """A server of the page of one run or several, as `nas.report.serving.server` makes it. The runs are only read.

    Args:
        names: Names of the runs.
        port: The port; 0 for a free one.
        space: The present place of the user's own space, FILE.py, where the file of a single run was moved; else None.

    Raises:
        NasError: There is no such run, its page cannot be made, or the port cannot be used.
    """
    runs = [existing_run(name) for name in dict.fromkeys(names)]

    def page() -> str:
        if len(runs) > 1:
            return html_text([_shown(run) for run in runs], live=True)
        with Store.open(runs[0].store_path, readonly=True) as store:
            return report_text(runs[0], store, parts_of(store, space), live=True)

    site = Site(page, lambda: "\n".join(map(_state, runs)))
    site.page()  # Its errors are of the command, not of the first request.
    return server(site, port)


def _state(run: RunFolder) -> str:
    """A text that changes with a run's store and that of its control, and when the process that writes it ends."""
    stores = (run.store_path, run.control.store_path)
    files = (file for path in stores for file in (path, path.with_name(f"{path.name}-wal")))
    return f"{in_use(run.store_path)} {[_changed(file) for file in files]}"


def _changed(file: Path) -> tuple[int, int]:
    """Size and time of a file; SQLite leaves and removes empty ones as it reads."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if found.st_size else (0, 0)


def _shown(run: RunFolder) -> ShownRun:
    """A run with the scores of its winner on the test tasks."""
    read = summary(run)
    scores = [] if read.final is None or read.final.winner is None else _scores(run, read.final.winner.architecture)
    return ShownRun(replace(read, config=user_files.shortened(dict(read.config))), scores)


def _scores(run: RunFolder, architecture: Architecture) -> list[Score]:
    """The scores of an architecture on the test tasks in the order of their seeds; none where one of them failed."""
    with Store.open(run.store_path, readonly=True) as store:
        records = store.items(f"{MEASURED}test/{architecture.space}/{architecture.key}/")
    ordered = [records[key]["score"] for key in sorted(records, key=lambda key: int(key.rpartition("/")[2]))]
    return [Score.from_json(score) for score in ordered] if all(ordered) else []
