"""Comparisons of controllers: equal budgets, and each search made once."""

from __future__ import annotations

import json
import math
import random
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.launch import Quiet, in_this_process, own_runs, toy  # noqa: F401  # fixtures
from helpers.tabular import DATA, nas_bench_201_table, tabled  # noqa: F401  # a fixture

from nas import compare, config, registry
from nas.analysis.comparison import Point, Result, rows
from nas.cli import main
from nas.compare.one_search import entered, look_up
from nas.config import build, from_json
from nas.errors import ConfigError, DataError, SearchError
from nas.search_spaces import NasBench201
from nas.space import sample

needs_table = pytest.mark.skipif(not DATA.exists(), reason="needs nas_bench_201_cifar10.npz beside the checkout")


class Heard(Quiet):
    """Counts the searches of a comparison."""

    def __init__(self, at: Callable[[int], None] = lambda done: None) -> None:
        super().__init__()
        self.searches: list[tuple[int, int]] = []
        self._at = at

    def searched(self, done: int, of: int) -> None:
        self.searches.append((done, of))
        self._at(done)


def test_a_search_of_a_table_is_the_plain_loop(table: Path) -> None:
    """Ask, pay, look up, tell, until the next does not fit; by a second reading of the file."""
    space, data = NasBench201(published=True), np.load(table)
    row = {arch: i for i, arch in enumerate(data["arch"].tolist())}
    told = tabled(table, search={"trials": 1000, "seconds": 47.0, "repeats": "evaluated"})
    for seed in range(3):
        asked = registry.create("controller", "random", {}, space=space, seed=seed)
        spent, points, best, count = 0.0, [], -math.inf, 0
        while True:
            i = row[space.to_text(asked.ask(1)[0])]
            if spent + data["seconds"][i] > 47:
                break
            spent, count = spent + data["seconds"][i], count + 1
            if data["val"][i] > best:
                best = data["val"][i]
                points.append(Point(count, pytest.approx(spent), best, data["test"][i]))  # type: ignore[arg-type]
        result = look_up(entered(told, "random", seed), "random", seed)
        assert result == Result("random", seed, points[-1].reported, count, pytest.approx(spent), tuple(points))  # type: ignore[arg-type]


def test_contenders_are_controllers_or_tables_with_options(table: Path) -> None:
    told = tabled(
        table,
        controller={"name": "evolution", "population": 7},
        compare={"re": {"name": "regularized-evolution", "population": 4, "tournament": 2}, "random": {}}
        | {"two": {"name": "random", "budget": 100, "fidelity": {"rungs": 2, "eta": 5}, "repeats": "known"}},
    )
    found = {label: entered(told, label, 3) for label in ("evolution", "re", "random", "zoph-le", "two")}
    controllers = {label: (c.controller.name, c.controller.options) for label, c in found.items()}
    assert controllers == {
        "evolution": ("evolution", {"population": 7}),
        "re": ("regularized-evolution", {"population": 4, "tournament": 2}),
        "random": ("random", {}),
        "zoph-le": ("zoph-le", {}),
        "two": ("random", {}),
    }
    assert {c.search.seed for c in found.values()} == {3}
    assert [c.budgets for c in found.values()] == [(200,)] * 4 + [(20, 100)]
    assert [c.search.repeats for c in found.values()] == ["evaluated"] * 4 + ["known"]
    with pytest.raises(ConfigError, match="controller 'rex' is not known: did you mean 're'"):
        entered(told, "rex", 0)
    unequal = told.model_copy(update={"search": told.search.model_copy(update={"seconds": 0.0})})
    with pytest.raises(ConfigError, match=r"compare\.two: budgets are not equal; give search\.seconds"):
        entered(unequal, "two", 0)


def test_a_comparison_is_made_once_and_goes_on_with_what_is_new(table: Path, tmp_path: Path) -> None:
    told, first, again, more = tabled(table), Heard(), Heard(), Heard()
    results = compare.compare(told, ["re", "random"], 3, tmp_path, first)
    assert results is not None
    assert first.searches == [(done, 6) for done in range(7)]
    assert list(results) == ["re", "random"]
    for label, found in results.items():
        assert found == [look_up(entered(told, label, seed), label, seed) for seed in range(3)]
        assert len({result.reported for result in found}) > 1
    assert compare.compare(told, ["re", "random"], 3, tmp_path, again) == results
    assert again.searches == [(6, 6)]
    wider = compare.compare(told, ["random", "evolution", "re"], 4, tmp_path, more)
    assert wider is not None
    assert more.searches[0] == (6, 12)
    assert {label: found[:3] for label, found in wider.items() if label in results} == results
    other = Heard()
    compare.compare(tabled(table, search={"seconds": 30.0, "trials": 1000}), ["random"], 1, tmp_path, other)
    assert other.searches == [(0, 1), (1, 1)]


def test_a_changed_table_is_searched_anew(table: Path, tmp_path: Path) -> None:
    columns, path = dict(np.load(table)), tmp_path / "cells.npz"
    made = []
    for raised in (0, 0, 1):
        np.savez(path, **{**columns, "val": columns["val"] + raised})
        heard = Heard()
        compare.compare(tabled(path), ["random"], 1, tmp_path / "kept", heard)
        made.append(heard.searches[0])
    assert made == [(0, 1), (1, 1), (0, 1)]


def test_interrupted_it_goes_on_from_what_is_finished(table: Path, tmp_path: Path) -> None:
    told = tabled(table)
    whole = compare.compare(told, ["re", "random"], 12, tmp_path / "whole", Heard())
    stop = Heard(lambda done: signal.raise_signal(signal.SIGINT) if done == 2 else None)
    assert compare.compare(told, ["re", "random"], 12, tmp_path / "cut", stop) is None
    assert stop.stops == 1
    rest = Heard()
    assert compare.compare(told, ["re", "random"], 12, tmp_path / "cut", rest) == whole
    assert 2 <= rest.searches[0][0] < 24
    assert rest.searches[-1] == (24, 24)


def test_with_another_evaluator_the_searches_are_runs(inline: None, tmp_path: Path) -> None:
    told, heard = toy(), Heard()
    results = compare.compare(told, ["reinforce", "random"], 2, tmp_path, heard)
    assert results is not None
    assert heard.searches == [(done, 4) for done in range(5)]
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert [re.sub("-[0-9a-f]{8}$", "", name) for name in runs] == [
        "random-0",
        "random-1",
        "reinforce-0",
        "reinforce-1",
    ]
    for found in results.values():
        for result in found:
            assert result.evaluations == told.search.trials
            assert result.curve[-1].value == result.curve[-1].reported != result.reported
    assert {result.seed for result in results["random"]} == {0, 1}
    assert compare.compare(told, ["reinforce", "random"], 2, tmp_path, Heard()) == results


@pytest.mark.parametrize(
    "labels, seeds, why",
    [
        ([], 1, "the controllers are none; name each once"),
        (["re", "re"], 1, "the controllers are re, re; name each once"),
        (["re"], 0, "seeds is 0; it must be at least 1"),
        (["bad"], 1, "compare 'bad': controller 'evolution' has no option 'populatoin'; did you mean 'population'"),
        (["low"], 1, "compare 'low': evolution population = 0; it must be a whole number from 1"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything(
    labels: list[str], seeds: int, why: str, table: Path, tmp_path: Path
) -> None:
    told = tabled(
        table, compare={"bad": {"name": "evolution", "populatoin": 1}, "low": {"name": "evolution", "population": 0}}
    )
    told = told.model_copy(update={"compare": {**tabled(table).compare, **told.compare}})
    with pytest.raises(ConfigError, match=re.escape(why)):
        compare.compare(told, labels, seeds, tmp_path / "new", Heard())
    assert not (tmp_path / "new").exists()


def test_a_table_with_a_hole_where_it_is_looked_up_first_is_searched(tmp_path: Path) -> None:
    space = {"name": f"table:{tmp_path / 'holes.csv'}", "choices": ["a", "b"]}
    config = {"space": space, "evaluator": {"name": "tabular", "path": str(tmp_path / "holes.csv")}}
    cells = [(a, b) for a in range(4) for b in range(4)]

    def searched(values: dict[tuple[int, int], object]) -> Any:
        lines = [f"{a},{b},{values.get((a, b), '')}" for a, b in cells]
        (tmp_path / "holes.csv").write_text("\n".join(["a,b,val", *lines]))
        told = from_json({**config, "search": {"trials": 16, "workers": 1}})
        return compare.compare(told, ["random"], 1, tmp_path / "out", Heard())

    assert searched({cell: sum(cell) for cell in cells})
    looked_up = tuple(sample(build(from_json(config)).space, random.Random(0)).picks.values())
    for hole in (looked_up, (0, 0), (3, 3)):
        [result] = searched({cell: sum(cell) for cell in cells if cell != hole})["random"]
        assert result.evaluations == 16
        assert result.reported == (6 if hole != (3, 3) else 5)
    with pytest.raises(DataError, match="column 'val' has '' in row"):
        searched({})


def test_an_objective_that_a_table_does_not_tell_is_refused_with_where_it_is_named(table: Path, tmp_path: Path) -> None:
    told = tabled(table, controller={"name": "evolution", "objectives": ["seconds", "flops"]})
    with pytest.raises(ConfigError, match=r"objectives name 'flops', .*; evaluator\.metrics names the columns"):
        compare.compare(told, ["evolution"], 1, tmp_path / "new", Heard())


def test_a_refused_first_comparison_leaves_nothing_and_takes_nothing_away(table: Path, tmp_path: Path) -> None:
    (tmp_path / "luck.py").write_text(LUCK)
    told = tabled(table, compare={"luck": {"name": f"{tmp_path / 'luck.py'}:Luck"}})
    with pytest.raises(ConfigError, match="proposes something else each time"):
        compare.compare(told, ["luck"], 1, tmp_path / "new", Heard())
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="proposes something else each time"):
        compare.compare(told, ["luck"], 1, tmp_path / "mine", Heard())
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(ConfigError, match="cannot hold a comparison"):
        compare.compare(told, ["random"], 1, tmp_path / "mine" / "notes.txt", Heard())


LUCK = """
import random
from nas.space import sample


class Luck:
    name = "luck"

    def __init__(self, space, seed):
        self.space = space

    def ask(self, n):
        return [sample(self.space, random.Random()) for _ in range(n)]

    def tell(self, trials):
        pass
"""


def test_a_table_without_costs_cannot_be_searched_by_seconds(table: Path, tmp_path: Path) -> None:
    told = tabled(table, evaluator={"name": "tabular", "path": str(table), "cost": ""})
    with pytest.raises(ConfigError, match="evaluator cost is not set"):
        compare.compare(told, ["random"], 1, tmp_path / "new", Heard())
    with pytest.raises(DataError, match="No such file"):
        compare.compare(tabled(tmp_path / "none.npz"), ["random"], 1, tmp_path / "new", Heard())
    nothing = tabled(table, search={"trials": 10, "seconds": 0.001, "workers": 1})
    with pytest.raises(
        SearchError, match=r"random with seed 0: no candidate was scored: none could be begun; has search.seconds"
    ):
        compare.compare(nothing, ["random"], 1, tmp_path / "new", Heard())


# --- the command -----------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["nas", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_the_command_prints_one_document(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_RUNS", raising=False)
    columns = ("path", table), ("score", "val"), ("report", "test"), ("cost", "seconds"), ("dataset", "")
    sets = [word for name, value in columns for word in ("--set", f"evaluator.{name}={value}")]
    words = [
        "compare",
        "nas_bench_201",
        *sets,
        "--set",
        "search.seconds=20",
        "--controllers",
        "random, regularized-evolution",
        "--seeds",
        "2",
    ]
    assert run(monkeypatch, *words, "--json") == 0
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert "4/4 searches" in said.err
    assert [set(row) for row in document["rows"]] == [{"controller", "seeds", "mean", "sd", "ci95"}] * 2
    assert [row["controller"] for row in document["rows"]] == ["random", "regularized-evolution"]
    assert document["axis"] == "seconds"
    assert all(Path(path).is_file() for path in document["files"])
    assert Path(document["files"][0]).parent == Path("runs/compare-nas_bench_201")
    assert run(monkeypatch, *words, "--reach", "1,2", "--out", "elsewhere") == 0
    assert "searches that come to 2.0000" in capfd.readouterr().out
    assert (tmp_path / "elsewhere" / "curves.png").is_file()
    assert run(monkeypatch, *words, "--reach", "high") == 2
    assert "--reach 'high' cannot be used" in capfd.readouterr().err
    assert run(monkeypatch, *words, "--name", "mine") == 0
    assert "runs/mine holds " in capfd.readouterr().out
    assert (tmp_path / "runs" / "mine" / "curves.png").is_file()
    assert run(monkeypatch, *words, "--name", "a/b") == 2
    assert capfd.readouterr().err.startswith("nas: run name 'a/b' cannot be used")


def test_a_comparison_in_a_thread_is_the_one_in_the_main_thread(table: Path, tmp_path: Path) -> None:
    told, found = tabled(table), []
    whole = compare.compare(told, ["random"], 2, tmp_path / "whole", Heard())
    search = lambda: found.append(compare.compare(told, ["random"], 2, tmp_path / "threaded", Heard()))  # noqa: E731
    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert found == [whole]


@needs_table
@pytest.mark.slow
def test_published_numbers_of_nas_bench_201(tmp_path: Path) -> None:
    """Dong & Yang, NATS-Bench (arXiv 2009.00437), table of CIFAR-10 in 12,000 seconds; standard errors here are .04."""
    told = config.load("nas_bench_201", [f"evaluator.path={DATA}"])
    published = {"random": 93.70, "regularized-evolution": 93.92, "reinforce-nas-bench-201": 93.85}
    results = compare.compare(told, list(published), 100, tmp_path, Heard())
    assert results is not None
    for row in rows(results):
        assert row.mean == pytest.approx(published[row.controller], abs=0.1), row
    for found in results.values():
        assert all(11_000 < result.seconds <= 12_000 for result in found)
