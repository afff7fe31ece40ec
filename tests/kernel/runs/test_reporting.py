"""Reports of stored runs: side by side, live while another process writes, of earlier versions, without trials."""

from __future__ import annotations

import errno
import http.client
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import command_here  # noqa: F401  # the fixture `call`
from helpers.launch import Crash, crash_at, in_this_process, own_runs, toy  # noqa: F401  # fixtures

from nas.analysis.intervals import compare
from nas.architecture import Architecture
from nas.errors import INTERRUPTED, ConfigError
from nas.report import serving as serving_module
from nas.runs import folder as run_folders
from nas.runs import launch
from nas.runs.folder import RunFolder, run_of
from nas.runs.reporting import live_server, write_side_by_side
from nas.runs.run import open_run
from nas.store import Store
from nas.trial import Score

FORMAT = Path(__file__).parents[2] / "data" / "first_format"


def scored(name: str, values: list[list[float]], **protocol: Any) -> RunFolder:
    """A run with a tested winner; `values` are by seed and task."""
    run = run_of(name)
    winner = Architecture("mlp", {"depth": len(name) % 2})
    with run_folders.create(run, toy()) as store:
        seeds = [Score(sum(row) / len(row), 0.1, per_task=tuple(row), protocol=protocol) for row in values]
        for seed, score in enumerate(seeds, 9):
            store.put(f"measured/test/mlp/{winner.key}/{seed}", {"score": score.to_json(), "error": None})
        entry = {"architecture": winner.to_json(), "value": sum(s.value for s in seeds) / len(seeds), "number": 0}
        store.put("final", {"kind": "classification", "winner": entry})
        store.put("state", {"state": "done"})
    return run


ONE = [[0.5, 0.7, 0.9, 0.6], [0.6, 0.8, 0.9, 0.5], [0.5, 0.8, 0.8, 0.6]]
OTHER = [[0.4, 0.7, 0.7, 0.6], [0.5, 0.6, 0.8, 0.5], [0.5, 0.7, 0.7, 0.4]]


def test_winners_of_one_protocol_are_compared_paired(runs_here: Path) -> None:
    scored("a", ONE, bank=1)
    scored("bb", OTHER, bank=1)
    path = write_side_by_side(["a", "bb", "a"])
    assert path == runs_here / "a+bb.html"
    text = path.read_text("utf-8")
    scores = [[Score(0.0, 0.0, per_task=tuple(row)) for row in rows] for rows in (ONE, OTHER)]
    apart = compare(scores[0], scores[1], accuracy=True)
    assert f"{100 * apart.value:+.1f}</td>" in text
    assert "than that of bb" in text or "from that of bb" in text
    assert "cannot be compared" not in text


def test_winners_of_two_protocols_are_not_compared_and_the_reason_is_told(runs_here: Path) -> None:
    scored("a", ONE, bank=1)
    scored("bb", OTHER, bank=2)
    scored("c", ONE[:2], bank=1)
    run_folders.create(run_of("empty"), toy()).close()
    text = write_side_by_side(["a", "bb", "c", "empty"]).read_text("utf-8")
    assert "The winners of these 4 runs cannot be compared." in text
    assert "a and bb cannot be compared: scores of different protocols cannot be compared: bank is 1 in one, 2" in text
    assert "a and c cannot be compared: values of (3, 4) and (2, 4) seeds and tasks cannot be paired." in text
    assert "a and empty cannot be compared: empty has no tested winner." in text


def test_a_page_of_runs_escapes_their_configs(runs_here: Path) -> None:
    scored("a", ONE, bank="<b>")
    scored("bb", OTHER, bank="<i>")
    text = write_side_by_side(["a", "bb"]).read_text("utf-8")
    assert "<b>" not in text.replace('class="card"><b>', "")
    assert "&lt;i&gt;" in text


@pytest.fixture(name="earlier")
def runs_of_the_first_version(runs_here: Path) -> Path:
    shutil.copytree(FORMAT, runs_here)
    return runs_here


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("complete", ["is right on 44.4 % of the test queries", "The random search came to the same network."]),
        ("unfinished", ["Not finished: of 3 scored candidates #4 is best", "interrupted", "<h2>Rungs</h2>"]),
    ],
)
def test_runs_of_an_earlier_version_have_a_page(earlier: Path, name: str, words: list[str]) -> None:
    text = open_run(name).report().read_text("utf-8")
    assert [word for word in words if word not in text] == []
    assert "nas search quickstart" in text


def test_runs_of_an_earlier_version_stand_side_by_side(earlier: Path) -> None:
    text = write_side_by_side(["complete", "unfinished"]).read_text("utf-8")
    assert "unfinished has no tested winner" in text


def test_a_run_without_trials_has_a_page(runs_here: Path) -> None:
    run_folders.create(run_of("new"), toy()).close()
    text = open_run("new").report().read_text("utf-8")
    assert "No candidate has a score yet." in text
    assert "<svg" not in text


@pytest.fixture(name="served")
def unfinished_run_served(inline: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunFolder, int]]:
    """A run with two trials, and the port of its page."""
    monkeypatch.setattr(serving_module, "PAUSE", 0)
    with pytest.raises(Crash):
        launch.start(toy(), run_of("live"), crash_at(2))
    with live_server(["live"], 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield run_of("live"), serving.server_port
        serving.shutdown()
        thread.join()


def ask(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return text


def test_a_served_page_follows_a_run_that_another_writes_and_writes_nothing(served: tuple[RunFolder, int]) -> None:
    run, port = served
    files = {path: path.stat().st_mtime_ns for path in run.folder.iterdir() if "-" not in path.name}
    state, page = ask(port, "/state"), ask(port, "/")
    assert ask(port, "/state") == state
    assert "interrupted</span>" in page
    assert "connect-src &#39;self&#39;" in page
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert not run.report.exists()
    with Store.open(run.store_path) as writing:
        assert ask(port, "/state") != state
        assert "running</span>" in ask(port, "/")
        [trial] = writing.propose([Architecture("mlp", dict(writing.trials()[0].architecture.picks))], 2, 0)
        writing.finish(replace(trial, state="failed", error="stopped by hand", seconds=1.0))
        assert "stopped by hand" in ask(port, "/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--serve"], "there is no run 'none'"),
        (["a", "--port", "80"], "--port 80 is of the page that --serve shows; give --serve too"),
        (["a", "bb", "--space", "x.py"], "--space x.py is of one run's space; leave it out for several runs"),
        (["a", "none"], "there is no run 'none'"),
    ],
)
def test_mistakes_are_one_line(call: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    scored("a", ONE)
    said = call("report", *arguments)
    assert said.status in (1, 2)
    assert message in said.err
    assert said.err.count("\n") == 1


def test_the_command_writes_the_page_of_several_runs(call: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    scored("a", ONE)
    scored("bb", OTHER)
    said = call("report", "a", "bb")
    assert (said.status, said.out) == (0, f"{tmp_path / 'runs' / 'a+bb.html'}\n")


def test_ctrl_c_ends_the_server(runs_here: Path) -> None:
    scored("a", ONE)
    command = [sys.executable, "-m", "nas", "report", "a", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ until Ctrl-C\n", address)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (INTERRUPTED, "")


def test_a_page_goes_elsewhere_where_the_run_is_read_only(
    runs_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    scored("a", ONE)
    said = call("report", "a", "a", "--out", "page.html", "--serve")
    assert (said.status, said.out) == (2, "")
    write = Path.write_text

    def refuse(path: Path, *arguments: Any, **options: Any) -> int:
        if path.is_relative_to(runs_here):
            raise OSError(errno.EACCES, "Permission denied")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(ConfigError) as refused:
        write_side_by_side(["a"])
    assert str(refused.value) == (
        f"a.html cannot be written: the folder {runs_here} is read-only (Permission denied); give another file to "
        "`nas report` with --out FILE.html"
    )
    assert write_side_by_side(["a"], tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").stat().st_size > 1000
