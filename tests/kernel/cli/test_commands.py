"""Commands of the command line: exit status, one line for a mistake, one document for --json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import TOY, Said, command, command_here  # noqa: F401  # fixture

from nas.store import Store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, one finished run of it by the real command, and the winner's export."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "toy.toml").write_text(TOY)
    return folder


@pytest.fixture(scope="module")
def finished(place: Path) -> subprocess.CompletedProcess[str]:
    ended = command(place, "search", "toy.toml", "--json")
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture
def nas(place: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.chdir(place)
    return call


def test_json_of_a_search_is_one_document_on_standard_output_and_the_rest_is_on_standard_error(finished, nas):
    document = json.loads(finished.stdout)
    assert finished.stdout.count("\n") == 1
    assert "mlp on sinusoid, 4-shot · evolution · 3 candidates · 1 worker" in finished.stderr
    assert "3/3   best " in finished.stderr
    assert "Traceback" not in finished.stderr
    assert (document["name"], document["state"]) == ("toy-1", "done")
    assert [trial["number"] for trial in document["trials"]] == [0, 1, 2]
    assert set(document["trials"][0]) == {
        "number", "architecture", "key", "state", "budget", "seed", "score", "seconds", "error",
        "repeats", "options",
    }  # fmt: skip
    assert document["repeats"] == 0
    assert {"winner", "baseline", "control", "difference"} <= set(document["final"])
    for role in ("winner", "baseline"):
        assert {"value", "interval", "protocol"} <= set(document["final"][role])
    assert json.loads(nas("show", "toy-1", "--json").out) == document


def test_a_finished_run_is_shown_resumed_reported_exported_and_adapted(finished, nas, place):
    shown = nas("show", "toy-1")
    assert (shown.status, shown.err) == (0, "")
    assert "toy-1: done, 3 of 3 candidates" in shown.out
    assert "mlp40 baseline" in shown.out
    resumed = nas("resume", "toy-1")
    assert resumed.status == 0
    assert "mlp40 baseline" in resumed.out
    assert "nas export toy-1 --out my_net · nas adapt my_net --support my_points.csv" in resumed.out
    assert json.loads(nas("show", "toy-1", "--json").out) == json.loads(finished.stdout)
    report = nas("report", "toy-1")
    assert report.status == 0
    assert (place / report.out.splitlines()[0]).read_text().startswith("<!doctype html>")
    exported = nas("export", "toy-1", "--out", "net")
    assert (exported.status, exported.err) == (0, "")
    assert "net/model.py" in exported.out.split()
    (place / "mine.csv").write_text("0,1\n1,2\n2,1\n")
    adapted = nas("adapt", "net", "--support", "mine.csv", "--query", "mine.csv", "--json")
    document = json.loads(adapted.out)
    assert [row["truth"] for row in document["predictions"]] == ["1", "2", "1"]
    assert len(document["curve"]) == 3
    assert "mine.csv:1: " in nas("adapt", "net", "--support", "mine.csv").out
    again = nas("export", "toy-1", "--out", "net")
    assert again == Said(2, "", "nas: net exists and is not an empty folder; choose another one, or empty it\n")


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["search", "none.toml"], "there is no file or shipped experiment 'none.toml'"),
        (["search", ""], "cannot be read"),
        (["search", "."], "cannot be read"),
        (["search", "toy.toml", "--set", "search.trails=1"], "did you mean 'trials'"),
        (["search", "toy.toml", "--set", "space.widths=[1,1]"], "--set space.widths: mlp widths"),
        (["search", "toy.toml", "--set", "nonsense"], "write it as TABLE.KEY=VALUE"),
        (["search", "toy.toml", "--name", "../x"], "run name '../x' cannot be used"),
        (["search", "toy.toml", "--name", ""], "run name '' cannot be used"),
        (["search", "toy.toml", "--name", "x" * 300], "cannot be used"),
        (["search", "toy.toml", "--name", "a\x1b[2Jb"], "'a\\x1b[2Jb' cannot be used"),
        (["search", "toy.toml", "--name", "toy-1"], "continue it with `nas resume toy-1`"),
        (["search", "toy.toml", "--set", "search.device=cuda"], "device is 'cuda' but torch sees no GPU"),
        (["resume", "none"], "there is no run 'none' in runs; there are: "),
        (["resume", ""], "cannot be used"),
        (["show", "none"], "there is no run 'none'"),
        (["report", "none"], "there is no run 'none'"),
        (["export", "none", "--out", "x"], "there is no run 'none'"),
        (["export", "toy-1", "--out", "toy.toml"], "is not an empty folder"),
        (["export", "toy-1", "--out", "/proc/none/x"], "cannot be written"),
        (["adapt", "none", "--support", "toy.toml"], "architecture.json is missing"),
        (["list", "nonsense"], "there is no list of 'nonsense'"),
        (["list", "space"], "did you mean 'spaces'"),
        (["check", "none.py:Space"], "there is no file "),
        (["check", "toy.toml"], "'toy.toml' is not known: "),
        (["check", "none.py:Space", "--inputs", "1,x"], "give whole numbers from 1"),
        (["check", "none.py:Space", "--inputs", "0"], "give whole numbers from 1"),
        (["check", "none.py:Space", "--outputs", "-1"], "give whole numbers from 1"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_and_status_2(nas, finished, place, monkeypatch, arguments, part):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    before = sorted(str(path) for path in place.rglob("*"))
    said = nas(*arguments)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("nas: ")
    assert said.err.count("\n") == 1
    assert part in said.err
    assert "\x1b" not in said.err
    assert sorted(str(path) for path in place.rglob("*")) == before


@pytest.mark.parametrize("arguments", [["nonsense"], ["search", "--nonsense"], ["show"], ["export", "x"], []])
def test_a_mistake_in_the_command_itself_is_status_2(nas, arguments):
    said = nas(*arguments)
    assert said.status == 2
    assert "Traceback" not in said.err


def test_a_mistake_by_the_real_command_is_one_line_and_nothing_is_written(tmp_path):
    (tmp_path / "bad.toml").write_text('[space]\nname = "mpl"\n[tasks]\nname = "sinusoid"\n')
    ended = command(tmp_path, "search", "bad.toml")
    line = "nas: bad.toml:2: space 'mpl' is not known: did you mean 'mlp'? Known: "
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["bad.toml"]


def test_a_path_that_the_system_refuses_is_one_line(nas, finished):
    said = nas("export", "toy-1", "--out", "x" * 300)
    assert said.status in (1, 2)
    assert "File name too long" in said.err
    assert said.err.count("\n") == 1


def test_an_unfinished_or_damaged_run_is_refused(nas, finished, place):
    (place / "runs" / "cut").mkdir()
    run = place / "runs" / "cut" / "trials.sqlite"
    Store.create(run, {"config": json.loads(finished.stdout)["config"]}).close()
    said = nas("export", "cut", "--out", "other")
    assert (said.status, said.err) == (2, "nas: run 'cut' has no winner yet; continue it with `nas resume cut`\n")
    assert not (place / "other").exists()
    assert "cut: interrupted, 0 of 3 candidates" in nas("show", "cut").out
    run.write_bytes(b"garbage" * 1000)
    for name in ("show", "report", "resume"):
        said = nas(name, "cut")
        assert said.status == 1
        assert "trials.sqlite" in said.err
        assert said.err.count("\n") == 1
    assert run.read_bytes() == b"garbage" * 1000


def test_every_component_is_listed_with_a_line_and_a_broken_plugin_breaks_no_list(nas, monkeypatch):
    from importlib.metadata import EntryPoint, EntryPoints

    from nas.registry import builtin, components

    said = nas("list")
    assert said.status == 0
    for room, heading in {"space": "spaces", "controller": "controllers", "tasks": "tasks"}.items():
        assert f"{heading}:\n" in said.out
        assert set(components.names(room)) <= set(said.out.split())
        assert set(builtin.NAME_FORMS.get(room, ())) <= set(said.out.split())
    assert "such as optuna:tpe." in said.out
    assert "experiments: " in said.out
    broken = [EntryPoint("mine", "no_such_module_here:Space", "nas.search_spaces")]
    monkeypatch.setattr(components, "entry_points", lambda *, group: EntryPoints(broken if "space" in group else []))
    said = nas("list", "spaces")
    assert said.status == 0
    assert "mlp" in said.out
    assert "'mine' (no_such_module_here:Space) cannot be loaded" in said.out


def test_a_space_of_ones_own_is_checked(nas, tmp_path):
    path = tmp_path / "random.py"
    path.write_text("from nas.search_spaces.plain.mlp import Mlp\n")
    said = nas("check", f"{path}:Mlp", "--inputs", "2", "--outputs", "1")
    assert said.status == 0
    assert "mlp: sound." in said.out


def test_ctrl_c_in_a_check_ends_with_130_and_is_no_verdict(nas, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import signal\nclass Space:\n    name, decide, build = 'x', print, print\n"
        "    def __getstate__(self):\n        signal.raise_signal(signal.SIGINT)\n"
    )
    assert nas("check", f"{path}:Space") == Said(130, "", "")  # as it is sent to the worker


def test_help_is_light():
    """What `nas --help` imports: none of the heavy ones."""
    heavy = "torch numpy pydantic networkx matplotlib tensorboard scipy safetensors sqlite3 multiprocessing"
    script = f"import sys, nas.cli; print([m for m in {heavy.split()!r} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_numbers_of_a_toy_run_are_finite(finished):
    values = [trial["score"]["value"] for trial in json.loads(finished.stdout)["trials"]]
    assert np.isfinite(values).all()
