"""The benchmark scripts, at toy size. Nothing here looks at how long anything takes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import torch
from helpers.project import python

from nas import registry
from nas.errors import NasError
from nas.experiments.benchmarks import controllers, fronts, search_spaces
from nas.experiments.benchmarks.inner_loop import __main__ as inner_loop
from nas.experiments.benchmarks.inner_loop import contenders, measure, worker_processes
from nas.experiments.benchmarks.search_overhead import Overhead, Start, print_tables
from nas.testing import Ten
from nas.trial import Score

SCRIPT = ["-m", "nas.experiments.benchmarks.search_overhead", "--candidates", "3", "--repeats", "1"]


@pytest.fixture(scope="module")
def search_overheads(tmp_path_factory):
    """The document of one small measurement."""
    folder = tmp_path_factory.mktemp("search_overhead")
    measured = json.loads(python([*SCRIPT, "--json"], folder))
    assert list(folder.iterdir()) == []
    return measured


def test_search_overhead_as_json(search_overheads):
    measured = search_overheads
    assert {"cpu", "cores", "python", "torch"} <= measured["machine"].keys()
    assert [(start["name"], start["target_s"]) for start in measured["starts"]] == [
        ("import nas", 0.3),
        ("nas --help", 0.5),
    ]
    assert measured["starts"][0]["torch"] is False
    assert all(start["seconds"] > 0 for start in measured["starts"])
    rows = {row["controller"]: row for row in measured["overheads"]}
    assert sorted(rows) == registry.names("controller")
    assert {name for name, row in rows.items() if row["target_ms"]} == {"evolution"}
    for row in rows.values():
        assert row["candidates"] == 3
        assert row["median_ms"] > 0
        assert row["mean_ms"] > 0
        assert row["peak_bytes"] > 2**20
    assert (rows["evolution"]["mean_ms"] < 5.0) == rows["evolution"]["met"]


def test_search_overhead_for_people(search_overheads, capsys):
    starts = [Start(**row) for row in search_overheads["starts"]]
    print_tables(search_overheads["machine"], starts, [Overhead(**row) for row in search_overheads["overheads"]])
    lines = capsys.readouterr().out.splitlines()
    for beginning in ("cpu ", "import nas", "nas --help", *(f"{name} " for name in registry.names("controller"))):
        assert sum(line.startswith(beginning) for line in lines) == 1, beginning


INNER_LOOP = ["-m", "nas.experiments.benchmarks.inner_loop", "--toy", "--rounds", "1", "--seconds", "0"]


def test_inner_loop_as_json(tmp_path):
    """The real processes, with the cheapest peer; the others are in `test_all_compute_the_same_gradient`."""
    out = tmp_path / "out.json"
    printed = python([*INNER_LOOP, "--rows", "4,5", "--peers", "loop", "--json", "--out", out], tmp_path)
    assert out.read_text("utf-8") == printed
    measured = json.loads(printed)
    assert measured["machine"]["matmul_gflops"] > 0
    gradients, score = measured["rows"]
    assert {"work", "ours", "peers", "ratio", "floor_ratio", "peak_mib"} <= gradients.keys() == score.keys()
    assert ("sinusoid" in gradients["work"], gradients["unit"]) == (True, "tasks/s")
    assert gradients["peers"].keys() == gradients["peers_peak_mib"].keys() == {"loop", "loop ×2"}
    assert gradients["ratio"] == gradients["ours"] / gradients["peers"]["loop"]
    assert gradients["ratio_processes"] == gradients["ours"] / gradients["peers"]["loop ×2"]
    floor_s = gradients["gflop"] / measured["machine"]["matmul_gflops"]
    assert gradients["floor_ratio"] == pytest.approx(1 / gradients["ours"] / floor_s, rel=0.01)
    assert gradients["peak_mib"] > gradients["peers_peak_mib"]["loop"] > 20
    assert ("seconds" in score["work"], score["unit"]) == (True, "s")
    assert (score["peers"], score["ratio"], score["ratio_processes"]) == ({}, None, None)
    assert min(score["ours"], score["floor_ratio"], score["peak_mib"]) > 0


@pytest.mark.parametrize("option, value", [("--rows", "1,6"), ("--peers", "lop")])
def test_inner_loop_says_what_is_not_known(option, value, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["inner_loop", option, value])
    with pytest.raises(SystemExit, match="2"):
        inner_loop.main()
    assert f"{value.split(',')[-1]!r} is not known; choose from" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--rounds", "0"], ["--tasks", "-1"], ["--out", "no/such/folder/out.txt"], ["--device", "gpu"]]
)
def test_inner_loop_refuses_what_it_could_not_measure(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["inner_loop", "--toy", *arguments])
    with pytest.raises(SystemExit) as ended:
        inner_loop.main()
    assert ended.value.code == 2
    assert repr(arguments[1]) in capsys.readouterr().err.splitlines()[-1]


def first_order(problem):
    """MAML that forgets how the adapted weights depend on the initial ones."""
    return contenders.ours(replace(problem, learner=replace(problem.learner, order=1)))


@pytest.mark.parametrize("number", inner_loop.WORKS)
def test_all_compute_the_same_gradient(number, monkeypatch):
    work, peers = inner_loop.toy(inner_loop.WORKS[number]), [*contenders.PEERS]
    if not all(map(contenders.installed, peers)):
        pytest.skip("a package of the extra 'bench' is not installed")
    cpu = torch.device("cpu")
    measure.check_same(work, peers, cpu)
    monkeypatch.setitem(contenders.CONTENDERS, "higher", first_order)
    if number != 3:  # where ours is ANIL
        with pytest.raises(NasError, match="higher and loop do not compute the same"):
            measure.check_same(work, peers, cpu)


def test_the_arithmetic_of_maml_is_counted():
    """A 1-4-4-1 perceptron, 5 examples to adapt to, 10 to judge by. Its layers' products take 8, 32 and 8 an example.

    A backward pass takes each twice, but for the first layer, whose input needs no gradient. Backwards through the
    inner step, those of the first layer are met twice more, those of the others six times.
    """
    forward, backward, through = 8 + 32 + 8, 8 + 2 * 32 + 2 * 8, 2 * 8 + 6 * 32 + 6 * 8
    expected = 5 * (forward + backward + through) + 10 * (forward + backward)
    assert measure.gflop_per_task(inner_loop.toy(inner_loop.WORKS[4])) == pytest.approx(expected / 1e9)


def test_a_package_that_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchopt", None)
    assert not contenders.installed("torchopt")
    assert contenders.installed("loop")


def test_a_process_that_ends_early_is_an_error(capfd):
    with worker_processes.Worker(int, "no number") as worker, pytest.raises(NasError, match="ended early"):
        worker.call("bit_length")
    assert "invalid literal for int() with base 10: 'no number'" in capfd.readouterr().err


def test_inner_loop_for_people():
    row = measure.Row(
        work="MAML",
        unit="tasks/s",
        ours=10.0,
        peers={"loop": 5.0},
        ratio=2.0,
        ratio_processes=None,
        floor_ratio=3.0,
        gflop=1.0,
        peak_mib=99.0,
        peers_peak_mib={"loop": 77.0},
        not_installed=["higher"],
    )
    score = replace(row, work="score", unit="s", peers={}, ratio=None, not_installed=[])
    lines = [" ".join(line.split()) for line in inner_loop.text({"cpu": "fast"}, [row, score]).splitlines()]
    assert lines == [
        "cpu fast",
        "",
        "MAML",
        "tasks/s peak MiB",
        "ours 10.0 99",
        "loop 5.0 77",
        "higher not installed",
        "ours: 2.00× the best peer, 3.0 times the time of the arithmetic alone",
        "",
        "score",
        "s peak MiB",
        "ours 10.0 99",
        "ours: 3.0 times the time of the arithmetic alone",
    ]


SPACES = ["-m", "nas.experiments.benchmarks.search_spaces", "--number", "5", "--rounds", "1", "--max-vertices", "4"]


def test_search_spaces_as_json(tmp_path):
    out = tmp_path / "out.json"
    printed = python([*SPACES, "--json", "--out", out], tmp_path)
    assert out.read_text("utf-8") == printed
    rows = json.loads(printed)["rows"]
    assert [(row["unit"], row["target"], row["counted"]) for row in rows] == [
        ("/s", 20_000, None),
        ("/s", 20_000, None),
        ("/s", 3_000, None),
        ("s", 10, 5_425),
        ("s", 300, 91),
    ]
    for row in rows:
        assert row["value"] > 0
        assert row["met"] == (row["value"] >= row["target"] if row["unit"] == "/s" else row["value"] < row["target"])


def test_search_spaces_for_people():
    rows = [
        search_spaces.Row("keys", 2_500.0, "/s", 3_000, False),
        search_spaces.Row("all", 9.0, "s", 10.0, True, 5_425),
        search_spaces.Row("more", 90.0, "s", None, None, 423_624),
    ]
    lines = search_spaces.text({"cpu": "a", "cores": 1}, rows).splitlines()
    assert lines[0] == "cpu a · cores 1"
    assert [line.split() for line in lines[1:]] == [
        ["keys", "2,500.0", "/s", "target", "3,000", "/s", "NOT", "MET"],
        ["all", "9.0", "s", "target", "10", "s", "met", "5,425", "differ"],
        ["more", "90.0", "s", "423,624", "differ"],
    ]


CONTROLLERS = ["-m", "nas.experiments.benchmarks.controllers", "--counts", "2,12", "--memory", "20"]


def test_controllers_as_json(tmp_path):
    out = tmp_path / "out.json"
    printed = python([*CONTROLLERS, "--only", "random,evolution", "--json", "--out", out], tmp_path)
    assert out.read_text("utf-8") == printed
    rows = json.loads(printed)["rows"]
    assert [(row["name"], row["target_ms"]) for row in rows] == [
        ("random", 0.3),
        ("evolution pool=1", 0.3),
        ("evolution", 30),
    ]
    for row in rows:
        assert list(row["ms"]) == ["2", "12"]
        assert all(ms > 0 for ms in row["ms"].values())
        assert row["trials"] >= 20
        assert row["peak_mib"] > 20
        assert row["met"] == (row["ms"]["12"] <= row["target_ms"] and row["peak_mib"] <= 500)


def test_a_controller_that_is_not_in_the_list_is_measured_where_it_is_asked_for(tmp_path):
    pytest.importorskip("optuna")
    rows = json.loads(python([*CONTROLLERS, "--only", "grid,optuna:random", "--json"], tmp_path))["rows"]
    assert [(row["name"], row["target_ms"], row["met"]) for row in rows] == [
        ("grid", None, None),
        ("optuna:random", None, None),
    ]


def test_every_controller_is_measured():
    assert {one.controller for one in controllers.contenders()} == set(registry.names("controller"))


def test_controllers_for_people():
    rows = [
        controllers.Row("quick", {10: 0.1, 100: 0.2}, 0.3, 100_000, 60.0, True),
        controllers.Row("slow", {10: 1.0}, 4.0, 90, 700.0, None),
        controllers.Row("other", {10: 1.0, 100: 5.0}, None, 100_000, 501.0, False),
    ]
    lines = controllers.text({"cpu": "a"}, rows).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["10", "100", "target", "MiB", "after"],
        ["quick", "0.10", "0.20", "0.3", "60", "100,000", "met"],
        ["slow", "1.00", "–", "4", "700", "90"],
        ["other", "1.00", "5.00", "501", "100,000", "NOT", "MET"],
    ]


def test_fronts_are_measured_against_the_whole_table(tmp_path, capsys):
    """A search of all of a small space has the whole hypervolume, of part of it a part."""

    def look(architecture):
        return Score(sum(architecture.picks.values()), 0.0, metrics={"cost": 1.0 + architecture.picks["b"]})

    rows = fronts.measure(Ten(), look, "cost", trials=10, seeds=2)
    assert [row.name for row in rows][:2] == ["random", "regularized-evolution population=10 tournament=3"]
    whole = [row for row in rows if "regularized" not in row.name]
    assert all((row.plain, row.logarithm, row.plain_more) == (1.0, 1.0, (0.0, 0.0)) for row in whole)
    part = fronts.measure(Ten(), look, "cost", trials=2, seeds=3)[0]
    assert 0 <= part.plain < 1
    out = tmp_path / "fronts.txt"
    fronts.main(["--trials", "3", "--seeds", "2", "--json", "--out", str(out)])
    document = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in document} == {contender.name for contender in fronts.SET}
    assert all(0 < row["plain"] < 1 for row in document)
    assert len(out.read_text("utf-8").splitlines()) == 2 + len(fronts.SET)
