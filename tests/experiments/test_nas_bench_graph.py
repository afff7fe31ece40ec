"""Study on NAS-Bench-Graph: reading pickles without unpickling them, tables, ranks; and spaces of tables."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import registry
from nas.analysis.comparison import Point, Result
from nas.errors import ConfigError, DataError, SpaceError
from nas.evaluators import Tabular
from nas.experiments.nas_bench_graph import __main__ as nas_bench_graph
from nas.experiments.nas_bench_graph.pickled_numbers import read_numbers
from nas.search_spaces.table.space import TableSpace
from nas.space import count, enumerate_all, replay, sample
from nas.task import TaskShape
from nas.testing import check_controller

KEYS = {
    1: ("0000", "gat", "gat", "gat", "gcn"),
    81368: ("0123", "gcn", "cheb", "graph", "skip"),
    30000: ("0012",) + ("gat",) * 4,
}


def entry(value: float) -> dict[str, Any]:
    return {"valid_perf": value, "perf": np.float64(value / 3), "latency": 0.25, "para": 7}


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "toy.bench"
    entries = {key: entry(i / 7) for i, key in enumerate(KEYS)}
    path.write_bytes(pickle.dumps(entries, protocol=3).replace(b"numpy._core", b"numpy.core"))
    return path


def test_numbers_are_those_that_were_pickled(bench: Path) -> None:
    assert read_numbers(bench) == {key: entry(i / 7) for i, key in enumerate(KEYS)}


@dataclass(frozen=True)
class Trap:
    """Unpickled, it would write a file."""

    path: str

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_pickle_is_run(protocol: int, tmp_path: Path) -> None:
    path, written = tmp_path / "trap.bench", tmp_path / "written"
    for value in ({1: Trap(str(written))}, {1: {"perf": [Trap(str(written))]}}, Trap(str(written)), {1: {2, 3}}, len):
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        with pytest.raises(DataError, match="holds something other than numbers by name"):
            read_numbers(path)
    assert not written.exists()


def test_any_other_file_is_refused(bench: Path, tmp_path: Path) -> None:
    data = bench.read_bytes()
    for broken in (b"", data[: len(data) // 2], b"\x80\x03K\x01.", b"text", data.replace(b"f8", b"f4")):
        bench.write_bytes(broken)
        with pytest.raises(DataError):
            read_numbers(bench)
    bench.write_bytes(pickle.dumps({1: {"perf": 1.0}}, protocol=3))
    with pytest.raises(DataError, match="entry 1 has not the numbers"):
        nas_bench_graph.write_table(bench, tmp_path / "toy.csv")
    assert not (tmp_path / "toy.csv").exists()
    with pytest.raises(DataError, match="cannot be read"):
        read_numbers(tmp_path / "none.bench")


def test_a_table_says_what_the_keys_mean_and_is_a_space(bench: Path, tmp_path: Path) -> None:
    table = tmp_path / "toy.csv"
    nas_bench_graph.write_table(bench, table)
    space = registry.create("space", f"table:{table}", {"choices": list(nas_bench_graph.CHOICES)})
    evaluator = Tabular(space, table, score="valid_perf", report="perf", metrics=("para",))
    found = {replay(space, architecture): architecture for architecture in enumerate_all(space)}
    assert sorted(found) == sorted(KEYS.values())
    for i, row in enumerate(KEYS.values()):
        score = evaluator.evaluate(found[row], 200, 0)
        assert (score.value, score.metrics) == (i / 7, {"para": 7.0})
        assert evaluator.reported(found[row], 200) == i / 7 / 3


def test_a_space_of_a_table_keeps_the_laws(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b,val\n" + "".join(f"{i},{j},{i * j}\n" for i in range(4) for j in range(4) if i != j))
    space = TableSpace(table, ("a", "b"))
    assert count(space).value == 12
    rng = random.Random(0)
    assert {replay(space, sample(space, rng)) for _ in range(300)} == {
        (str(i), str(j)) for i in range(4) for j in range(4) if i != j
    }
    make = registry.find("controller", "regularized-evolution")
    check_controller(lambda points, seed: make(points, seed=seed, population=2, tournament=1), space=space)
    with pytest.raises(SpaceError, match="a table without networks"):
        space.build(("0", "1"), TaskShape((1,), 1))
    with pytest.raises(DataError, match="has no column 'c'"):
        sample(TableSpace(table, ("a", "c")), rng)
    for wrong in ([], ["a", "a"]):
        with pytest.raises(ConfigError, match="name the columns that tell architectures apart"):
            registry.create("space", f"table:{table}", {"choices": wrong})
    with pytest.raises(ConfigError, match="has no option 'choice'; did you mean 'choices'"):
        registry.create("space", f"table:{table}", {"choice": ["a"]})


def test_of_a_table_with_hardly_any_combination_all_rows_are_found(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = {tuple(rng.randrange(5) for _ in range(6)) for _ in range(60)}
    table = tmp_path / "sparse.csv"
    table.write_text("a,b,c,d,e,f,val\n" + "".join(f"{','.join(map(str, row))},1\n" for row in sorted(rows)))
    space = TableSpace(table, tuple("abcdef"))
    assert {replay(space, each) for each in enumerate_all(space)} == {tuple(map(str, row)) for row in rows}
    for name in ("random", "evolution", "reinforce"):
        controller = registry.create("controller", name, {}, space=space, seed=1)
        assert len(set(controller.ask(100))) == len(rows)


def result(label: str, reported: float) -> Result:
    return Result(label, 0, reported, 1, 0.0, (Point(1, 0.0, reported, reported),))


def test_ranks_are_means_over_seeds_and_equals_share() -> None:
    values = {"a": [3.0, 1.0, 2.0], "b": [2.0, 1.0, 3.0], "c": [1.0, 1.0, 1.0]}
    results = {label: [result(label, value) for value in mine] for label, mine in values.items()}
    assert nas_bench_graph.ranks(results) == {"a": 5 / 3, "b": 5 / 3, "c": 8 / 3}
    comparison = nas_bench_graph.comparison({"one": results, "two": results})
    assert comparison.mean_rank["c"] == pytest.approx(8 / 3)
    assert nas_bench_graph.text(comparison).splitlines()[-1].split() == ["mean", "rank", "1.667", "1.667", "2.667"]


def test_the_study_goes_on_where_it_was(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "--bench",
        str(bench.parent),
        "--controllers",
        "random,regularized-evolution",
        "--seeds",
        "2",
        "--trials",
        "2",
    ]
    nas_bench_graph.main([*words, "--json"])
    first = json.loads(capsys.readouterr().out)
    nas_bench_graph.main([*words, "--json", "--out", "table.txt"])
    assert json.loads(capsys.readouterr().out)["data_sets"] == first["data_sets"]
    assert "toy" in Path("table.txt").read_text()
