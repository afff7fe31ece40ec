"""Evaluator `tabular`: the right row and column of each kind of file, its costs, and errors about bad files."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT

from nas import registry
from nas.errors import ConfigError, DataError
from nas.evaluators import Tabular
from nas.protocols import Tabled
from nas.search_spaces import NasBench201
from nas.space import enumerate_all, sample
from nas.space.tables import choices_made
from nas.testing import ToySpace, check_evaluator

TOYS = list(enumerate_all(ToySpace()))
CELLS = [sample(NasBench201(published=True), random.Random(seed)) for seed in range(20)]
DATA = ROOT.parent / "shared" / "data" / "nas_bench_201_cifar10.npz"


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, heads, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_choices(i: int) -> dict[str, Any]:
    return choices_made(ToySpace(), TOYS[i])


def as_json(i: int) -> dict[str, Any]:
    picks = ", ".join(f'"{name}": {index}' for name, index in reversed(TOYS[i].picks.items()))
    return {"architecture": f'{{"space": "toy", "picks": {{{picks}}}}}'}


def as_text(i: int) -> dict[str, Any]:
    return {"arch": f"toy {i}"}


class Texts(ToySpace):
    """Writes its architectures as texts of its own."""

    def to_text(self, architecture: Any) -> str:
        return f"toy {TOYS.index(architecture)}"


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A file as those of NAS-Bench-201, of two data sets, whose values tell set, epochs and row."""
    path, space = tmp_path / "cells.npz", NasBench201(published=True)
    columns: dict[str, Any] = {"arch": np.array([space.to_text(cell) for cell in CELLS], dtype="S")}
    rows = np.arange(len(CELLS), dtype=np.float32)
    for number, name in enumerate(("cifar10", "ImageNet16-120"), 1):
        for part in ("val", "test"):
            for epochs in (12, 200):
                columns[f"{name}_{part}_{epochs}"] = 1000 * number + epochs + rows / 100 + 500 * (part == "test")
        columns[f"{name}_train_seconds_200"] = number * (1000 + rows)
    columns["params_m"] = rows
    np.savez(path, **columns)
    return path


def tabular(path: Path, **options: Any) -> Tabular:
    usual = {"dataset": "cifar10", "score": "val", "report": "test_200", "cost": "train_seconds"}
    return Tabular(NasBench201(published=True), path, **{**usual, **options})


@pytest.mark.parametrize("dataset, number", [("cifar10", 1), ("ImageNet16-120", 2)])
@pytest.mark.parametrize("budget", [12, 200])
def test_columns_are_found_by_data_set_score_and_budget(cells: Path, dataset: str, number: int, budget: int) -> None:
    evaluator = tabular(cells, dataset=dataset, metrics=("params_m",))
    for i, cell in enumerate(CELLS):
        score = evaluator.evaluate(cell, budget, seed=i)
        assert score.value == pytest.approx(1000 * number + budget + i / 100)
        assert evaluator.reported(cell, budget) == pytest.approx(1000 * number + 700 + i / 100)
        assert score.metrics == {"params_m": i, "seconds": pytest.approx(number * (1000 + i) * budget / 200)}
        assert evaluator.seconds(cell, budget) == score.metrics["seconds"]
        assert score.protocol["column"] == f"{dataset}_val_{budget}"


def test_a_column_may_be_named_with_its_epochs_and_is_then_that_of_any_budget(cells: Path) -> None:
    evaluator = tabular(cells, score="val_12")
    assert [evaluator.evaluate(CELLS[3], budget, 0).value for budget in (1, 12, 200)] == [pytest.approx(1012.03)] * 3
    assert evaluator.seconds(CELLS[3], 200) == pytest.approx(1003 * 12 / 200)
    assert tabular(cells, report="").reported(CELLS[3], 200) == tabular(cells).evaluate(CELLS[3], 200, 0).value


def test_a_cost_of_its_own_goes_before_a_part_of_another(tmp_path: Path) -> None:
    rows = [{**as_choices(i), "val_5": i, "val_9": i, "s_5": 10 + i, "s_10": 100, "s_20": 300} for i in range(3)]
    evaluator = Tabular(ToySpace(), write_csv(tmp_path / "t.csv", rows), cost="s")
    assert evaluator.seconds(TOYS[2], 5) == 12
    assert evaluator.seconds(TOYS[2], 9) == pytest.approx(300 * 9 / 20)
    flat = Tabular(ToySpace(), write_csv(tmp_path / "u.csv", [{**as_choices(0), "acc": 1, "cost": 7}]), score="acc")
    assert flat.evaluate(TOYS[0], 200, 0).value == 1
    assert flat.evaluate(TOYS[0], 200, 0).metrics == {}
    with pytest.raises(ConfigError, match="cost is not set"):
        flat.seconds(TOYS[0], 200)
    assert Tabular(ToySpace(), tmp_path / "u.csv", score="acc", cost="cost").seconds(TOYS[0], 200) == 7


@pytest.mark.parametrize("write", [as_choices, as_json, as_text])
def test_a_csv_says_in_three_ways_which_architecture_a_row_is_of(write: Any, tmp_path: Path) -> None:
    order = random.Random(0).sample(range(len(TOYS)), len(TOYS))
    path = write_csv(tmp_path / "toys.csv", [{**write(i), "acc": f"{i / 8}", "se": "0.25"} for i in order])
    evaluator = Tabular(Texts(), path, score="acc", errors="se")
    for i, toy in enumerate(TOYS):
        score = evaluator.evaluate(toy, 1, 0)
        assert (score.value, score.stderr) == (i / 8, 0.25)
    assert isinstance(evaluator, Tabled)
    check_evaluator(Tabular(ToySpace() if write is not as_text else Texts(), path, score="acc"), TOYS[5], 1)


def test_an_architecture_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    for write in (as_choices, as_json, as_text):
        path = write_csv(tmp_path / f"{write.__name__}.csv", [{**write(i), "acc": i} for i in range(1, len(TOYS))])
        with pytest.raises(DataError, match=r"no row of the architecture \{'layers': 0, "):
            Tabular(Texts(), path, score="acc").evaluate(TOYS[0], 1, 0)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    evaluator = Tabular(ToySpace(), tmp_path / "t.csv", score="acc")
    seen = []
    for value in (1, 22, 333):
        write_csv(tmp_path / "t.csv", [{**as_choices(0), "acc": value}])
        score = evaluator.evaluate(TOYS[0], 1, 0)
        seen.append((score.value, score.protocol["table"]))
    assert [value for value, _ in seen] == [1, 22, 333]
    assert len({digest for _, digest in seen}) == 3


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "has no rows"),
        ("arch,val\n", "has no rows"),
        ("arch,val,val\na,1,2\n", "two columns have one name"),
        ("arch,val\ntoy 0\n", "row 1 has 1 cells, the first line 2"),
        ("arch,val\ntoy 0,good\n", "column 'val' has 'good' in row 1, not a number"),
        ("arch,val\ntoy 0,nan\n", "column 'val' has 'nan' in row 1, not a number"),
        ("arch,val\ntoy 0,\n", "column 'val' has '' in row 1, not a number"),
        ("arch,val\ntoy 0,-1e308\n", "column 'val' has -1e+308 in row 1; 1e+100 is the most"),
        ("arch,val\ntoy 0,1\ntoy 0,2\n", "rows 1 and 2 are of one architecture"),
        ("layers,0.op,0.width,val\n1,dense,4,1\n1,dense,4,2\n", "rows 1 and 2 are of one architecture"),
        ("arch,vall\ntoy 0,1\n", "has no column 'val', nor one of budget 3: did you mean 'vall'"),
        ('arch,val\n"{""a"": 1}",1\n', "row 1 is of no architecture"),
        ("arch,val\n{,1\n", "row 1 is of no architecture"),
        ("layers,val\n1,1\n", "neither a column 'arch' nor one for the choice '0.op'"),
        ("arch,val\n\udc80,1\n", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError) as caught:
        Tabular(Texts(), path).evaluate(TOYS[0], 3, 0)
    assert why in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("column", [np.array([1j]), np.array(["2020-01-01"], "M8[D]"), np.zeros(1, [("x", "f8")])])
def test_columns_are_numbers_or_texts(column: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", arch=["toy 0"], val=column)
    with pytest.raises(DataError, match="column 'val' has neither numbers nor texts"):
        Tabular(Texts(), tmp_path / "odd.npz").evaluate(TOYS[0], 3, 0)


def test_a_damaged_compressed_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, arch=[f"toy {number}" for number in range(400)], val=np.arange(400))
    content = bytearray(path.read_bytes())
    content[70:120] = bytes(byte ^ 0xFF for byte in content[70:120])
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        Tabular(Texts(), path).evaluate(TOYS[0], 3, 0)


def test_a_cost_of_no_epochs_tells_no_price(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arch,val_12,cost_0\ntoy 0,1,2\n")
    with pytest.raises(DataError, match="no column 'cost'"):
        Tabular(Texts(), path, cost="cost").evaluate(TOYS[0], 12, 0)


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, cells: Path) -> None:
    def refusal(path: Path | None) -> str:
        with pytest.raises((ConfigError, DataError)) as caught:
            Tabular(NasBench201(published=True), path).check(CELLS[0])
        return str(caught.value)

    assert "path is not set" in refusal(None)
    assert "cannot be read: No such file" in refusal(tmp_path / "none.npz")
    (tmp_path / "a.json").write_text("{}")
    assert "give a .npz or .csv file" in refusal(tmp_path / "a.json")
    (tmp_path / "half.npz").write_bytes(cells.read_bytes()[:1000])
    assert "is it the right file, and whole?" in refusal(tmp_path / "half.npz")
    np.savez(tmp_path / "uneven.npz", arch=np.array(["a"]), val=np.zeros(2))
    assert "not columns of one length" in refusal(tmp_path / "uneven.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    assert "File is not a zip file" in refusal(tmp_path / "one.npz")
    np.savez(tmp_path / "objects.npz", arch=np.array([{"a": 1}], dtype=object), val=np.zeros(1))
    assert "has Python objects, which are not read" in refusal(tmp_path / "objects.npz")
    with pytest.raises(DataError, match="has no `to_text`"):
        Tabular(ToySpace(), cells).check(TOYS[0])


@pytest.mark.skipif(not DATA.exists(), reason="needs nas_bench_201_cifar10.npz beside the checkout")
def test_nas_bench_201_holds_every_cell_and_the_published_best() -> None:
    evaluator = registry.create(
        "evaluator",
        "tabular",
        {"path": str(DATA), "dataset": "cifar10", "report": "test_200", "cost": "train_seconds"},
        space=NasBench201(published=True),
    )
    space = NasBench201(published=True)
    best = max(enumerate_all(space), key=lambda cell: evaluator.reported(cell, 12))
    assert evaluator.reported(best, 12) == pytest.approx(94.37, abs=0.005)
    cell = space.from_text(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert evaluator.evaluate(cell, 12, 0).value == pytest.approx(63.364)
    assert evaluator.evaluate(cell, 200, 0).value == pytest.approx(81.9827, abs=1e-4)
    assert evaluator.seconds(cell, 12) == pytest.approx(1444.2186 * 12 / 200)
    assert evaluator.seconds(cell, 200) == pytest.approx(1444.2186)
    assert math.isfinite(evaluator.evaluate(best, 12, 0).value)


def test_costs_and_errors_below_zero_are_refused_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "T.CSV"
    path.write_text("arch,val,cost,err\n\ntoy 0,1,-3,0.1\n\ntoy 1,2,3,-0.1\n\n")
    evaluator = Tabular(Texts(), path, cost="cost", errors="err")
    with pytest.raises(DataError, match="column 'cost' has -3 in row 1; it must be 0 or more"):
        evaluator.seconds(TOYS[0], 1)
    assert evaluator.seconds(TOYS[1], 1) == 3
    with pytest.raises(DataError, match=r"column 'err' has -0\.1 in row 2; it must be 0 or more"):
        evaluator.evaluate(TOYS[1], 1, 0)
