"""The panel of a search: what it shows, at 40 columns, and on a terminal without colours or UTF-8."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.cli import TOY
from rich.console import Console

from nas.architecture import Architecture
from nas.cli import panel, progress, streams
from nas.cli.panel import RunView, age_text, panel_text
from nas.cli.progress import TerminalProgress
from nas.config import from_json
from nas.report.terminal import trials_text
from nas.runs.folder import run_of
from nas.trial import Score, Trial

CONFIG = from_json({"space": {"name": "few-shot-cell"}, "tasks": {"name": "glyphs"}, "search": {"trials": 12}})


def trial(number: int, value: float | None = 0.5) -> Trial:
    architecture = Architecture("s", {"a": number})
    if value is None:
        return Trial(number, architecture, 200, 0, "failed", error="ValueError: no")
    return Trial(number, architecture, 200, 0, "done", Score(value, 0.005), seconds=1.0)


VIEW = RunView(
    wanted=40,
    done=12,
    failed=1,
    duplicates=3,
    leader=trial(7, 0.871),
    latest=[trial(9), trial(10, None), trial(11, 0.8)],
    running={12: 34.0, 13: 5.4},
    seconds=60.0,
    candidates=8,
    finals_s=130.0,
    warnings=["memory is short"],
)


@pytest.fixture(autouse=True, name="load")
def load_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "load_text", lambda: "load 1.5 on 2 processors")


def test_the_panel_has_counts_best_running_times_latest_load_and_warnings():
    assert panel_text(VIEW, 80).splitlines() == [
        "12 of 40 done · 2 running · 1 failed · 3 duplicates",
        "best 0.871 (#7), 95 % interval 0.861 – 0.881",
        "running: #12 for 0:34 and #13 for 0:05",
        "8 a minute · search: about 3:30 left · finals: about 2:10",
        "latest: #11 0.800 ± .010 · #10 failed · #9 0.500 ± .010",
        "load 1.5 on 2 processors",
        "warning: memory is short",
    ]


def test_at_40_columns_no_line_is_longer_and_nothing_is_lost():
    text = panel_text(VIEW, 40)
    assert max(map(len, text.splitlines())) <= 40
    assert " ".join(text.split()) == " ".join(panel_text(VIEW, 80).split())


def test_what_is_not_known_is_left_out():
    assert panel_text(RunView(5), 80).splitlines()[:2] == [
        "0 of 5 done · 0 running · 0 failed · 0 duplicates",
        "best: none scored yet",
    ]
    assert len(panel_text(RunView(5), 80).splitlines()) == 3
    many = replace(VIEW, running=dict.fromkeys(range(20), 1.0))
    assert "#7 for 0:01 and 12 more" in panel_text(many, 200)
    assert "5 of 9 final measurements · finals: about 2:10 left" in panel_text(replace(VIEW, measuring=(5, 9)), 120)
    assert "5 final measurements" in panel_text(replace(VIEW, measuring=(5, 0)), 120)


@pytest.mark.parametrize(("age", "text"), [(0, "0:00"), (3599, "59:59"), (7200, "2 h"), (200000, "2 d")])
def test_ages_have_their_largest_units(age, text):
    assert age_text(age) == text


def test_load_and_memory_in_use_are_those_of_the_machine(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(os, "getloadavg", lambda: (1.25, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    cuda = SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert panel.load_text() == "load 1.2 on 4 processors"

    def used(index: int) -> int:
        if index == 1:
            raise ModuleNotFoundError("pynvml")
        return 3_100_000_000

    cuda.is_available, cuda.device_count, cuda.device_memory_used = lambda: True, lambda: 2, used
    assert panel.load_text() == "load 1.2 on 4 processors · GPU 0: 3.1 GB in use"


@pytest.fixture(name="screen")
def terminal_of_a_test(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 60 columns, in place of standard error."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, highlight=False)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return file


def test_a_search_on_a_terminal_has_a_panel_with_running_trials_and_warnings(screen):
    shown = TerminalProgress()
    with shown.shown():
        shown.started(run_of("a"), CONFIG, [trial(0), trial(1, None)], workers=2)
        shown.running({2: 0.0, 3: 0.0}, 75.0)
        shown.trial(trial(2, 0.7), trial(2, 0.7))
        logging.getLogger("nas.runs").warning("%s is short", "memory")
        view = panel_of(shown)
    assert "3 of 12 done · 1 running · 1 failed · 0 duplicates" in view
    assert "best 0.700 (#2)" in view
    assert "#3 for " in view
    assert "finals: about 1:15" in view
    assert "warning: memory is short" in view
    assert "3 of 12 done" in screen.getvalue()


def panel_of(shown: TerminalProgress) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(shown._panel())
    text: Any = console.file
    return " ".join(str(text.getvalue()).split())


def test_the_time_left_for_the_finals_falls_while_they_run(screen, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = TerminalProgress()
    shown.started(run_of("a"), CONFIG, [], workers=1)
    shown.running({}, 100.0)
    assert "finals: about 1:40" in panel_of(shown)
    shown.measured(0, 6)
    assert "0 of 6 final measurements · finals: about 1:30 left" in panel_of(shown)


def test_elsewhere_a_warning_is_a_line_and_the_handler_is_gone_afterwards(capsys):
    before = list(logging.getLogger("nas").handlers)
    with TerminalProgress().shown():
        logging.getLogger("nas.runs").warning("memory is short")
    assert capsys.readouterr().err.splitlines() == ["warning: memory is short"]
    assert logging.getLogger("nas").handlers == before


def test_a_narrow_table_of_trials_fits_40_columns():
    lines = trials_text([trial(0), trial(1)], width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[0].split() == ["trial", "score", "95", "%", "±", "budget", "seconds"]
    assert lines[1].split() == ["#0", "0.5000", "0.0098", "200", "1.0"]


def test_plain_letters_stand_for_those_that_an_encoding_lacks(monkeypatch):
    bytes_ = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_, encoding="ascii"))
    streams.make_readable()
    sys.stdout.write("0.871 ± .009 · 3 – 4 → 5 … ≥ 6 × 7 − ☃\n")
    sys.stdout.flush()
    assert bytes_.getvalue() == b"0.871 +- .009 | 3 - 4 -> 5 ... >= 6 x 7 - ?\n"


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The real command on a pseudo-terminal of 40 columns: its exit status, and all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "TERM": "xterm-256color",
            "COLUMNS": "40",
            "LINES": "24",
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 10_000)
        except OSError:  # the end of a pseudo-terminal
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return process.wait(timeout=60), b"".join(parts).decode()


def test_a_terminal_of_40_columns_without_colours_and_utf_8_shows_a_search(tmp_path: Path):
    (tmp_path / "toy.toml").write_text(TOY)
    plain = {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    status, text = on_a_terminal(tmp_path, "search", "toy.toml", "--name", "a", **plain)
    assert status == 0, text
    assert text.isascii()
    assert "3 of 3 done | " in text
    assert not any(f"\x1b[{code}m" in text for code in range(30, 50))
    assert "?" not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    status, text = on_a_terminal(tmp_path, "show", "a", "--watch", **plain)
    assert status == 0
    assert "mlp40 baseline: " in text
    table = text.split("parameters")[0].splitlines()
    assert max(map(len, table[1:4])) <= 40
    quiet = subprocess.run(
        [sys.executable, "-m", "nas", "resume", "a", "--trials", "4", "--quiet", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "candidates" not in quiet.stderr
    assert len(json.loads(quiet.stdout)["trials"]) >= 4
