"""TensorBoard logs, read back by TensorBoard's own reader and its hparams plugin."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from helpers.tensorboard import everything, hparams_table, logged, pictures

from nas.architecture import Architecture
from nas.report import TensorBoardLog
from nas.report.tensorboard import MAX_CANDIDATES
from nas.trial import Score, Trial

VALUES = [0.5, 0.75, None, 0.625]


class Numbers:
    name = "numbers"

    def decide(self, choose: Any) -> int:
        return int(choose("a", range(10_000)))

    def build(self, spec: Any, task: Any) -> Any:
        raise NotImplementedError


class Mixed(Numbers):
    """Choices of all kinds, of which 'op' is only made where 'deep' is; a graph of it."""

    name = "mixed"

    def decide(self, choose: Any) -> Any:
        deep = choose("deep", (False, True))
        return choose("width", (4, 8)), choose("rate", (0.5, None)), choose("op", ("conv", "pool")) if deep else "none"

    def graph(self, spec: Any) -> nx.DiGraph:
        cell = nx.DiGraph()
        cell.add_node("in", op="input")
        cell.add_node("middle", op=spec[2])
        cell.add_node("out", op="output")
        cell.add_edges_from([("in", "middle"), ("middle", "out")])
        return cell


class Counting:
    """A controller that is measured: its number is how many trials it was told of."""

    told = 0

    def ask(self, n: int) -> list[Architecture]:
        return []

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told += len(trials)

    def measurements(self) -> dict[str, float]:
        return {"told": float(self.told)} if self.told != 1 else {}


def trial(number: int, value: float | None, **picks: int) -> Trial:
    architecture = Architecture("mixed", picks) if picks else Architecture("numbers", {"a": number})
    if value is None:
        return Trial(number, architecture, 10, 0, "failed", error="no", seconds=0.5)
    metrics = {"parameters": 100.0 + number, "flops": 2e6, "adapt_s": 1.0}
    score = Score(value, 0.01, curve=(0.25, value), metrics=metrics)
    return Trial(number, architecture, 10, 0, "done", score, seconds=2.0)


def written(folder: Path, trials: Sequence[Trial], space: Any = None) -> TensorBoardLog:
    log = TensorBoardLog(folder, space or Numbers())
    for entry in trials:
        log.add(entry)
    return log


def test_every_scalar_reads_back(tmp_path: Path) -> None:
    written(tmp_path / "tb", [trial(number, value) for number, value in enumerate(VALUES)])
    assert logged(tmp_path / "tb") == {
        "score/value": [(0, 0.5), (1, 0.75), (3, 0.625)],
        "score/best": [(0, 0.5), (1, 0.75), (2, 0.75), (3, 0.75)],
        "cost/parameters": [(0, 100.0), (1, 101.0), (3, 103.0)],
        "cost/flops": [(0, 2e6), (1, 2e6), (3, 2e6)],
        "cost/seconds": [(0, 2.0), (1, 2.0), (2, 0.5), (3, 2.0)],
        "search/failures": [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0)],
        "search/repeats": [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)],
    }


def test_duplicates_are_counted_and_nothing_else_is_logged_of_them(tmp_path: Path) -> None:
    trials = [
        *(trial(0, 0.5), replace(trial(1, 0.5), duplicate_of=0), trial(2, None)),
        *(replace(trial(3, None), duplicate_of=2), replace(trial(4, 0.5), duplicate_of=0)),
    ]
    written(tmp_path, trials)
    found = logged(tmp_path)
    assert found["search/failures"] == [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0), (4, 1.0)]
    assert found["search/repeats"] == [(0, 0.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 3.0)]
    assert found["score/best"] == [(number, 0.5) for number in range(5)]
    assert found["cost/seconds"] == [(0, 2.0), (2, 0.5)]
    assert set(hparams_table(tmp_path)) == {"candidates/0000", "candidates/0002"}
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["0000"]


def test_the_best_is_the_best_of_the_highest_budget_reached(tmp_path: Path) -> None:
    promoted = [replace(trial(2, None), budget=90), replace(trial(3, 0.25), budget=30)]
    written(tmp_path, [trial(0, 0.5), trial(1, 0.75), *promoted, trial(4, 1.0)])
    assert logged(tmp_path)["score/best"] == [(0, 0.5), (1, 0.75), (2, 0.75), (3, 0.25), (4, 0.25)]
    assert hparams_table(tmp_path)["candidates/0003"][0] == {"a": 3.0, "budget": 30.0}


def test_choices_are_hyper_parameters_and_score_and_costs_metrics(tmp_path: Path) -> None:
    trials = [trial(0, 0.5, deep=1, width=1, rate=0, op=1), trial(1, None, deep=0, width=0, rate=1)]
    for run in ("one", "two"):
        written(tmp_path / run / "tensorboard", trials, Mixed())
    first = (
        {"budget": 10.0, "deep": True, "width": 8.0, "rate": "0.5", "op": "pool"},
        {"score": 0.5, "parameters": 100.0, "flops": 2e6, "seconds": 2.0},
        "STATUS_SUCCESS",
    )
    second = {"budget": 10.0, "deep": False, "width": 4.0, "rate": "None"}, {"seconds": 0.5}, "STATUS_FAILURE"
    table = hparams_table(tmp_path)
    assert set(table) == {f"{run}/tensorboard/candidates/{n}" for run in ("one", "two") for n in ("0000", "0001")}
    for run in ("one", "two"):
        hparams, metrics, status = table[f"{run}/tensorboard/candidates/0000"]
        # 'rate' has a number and None, so that the plugin shows both as texts.
        assert ({**hparams, "rate": str(hparams["rate"])}, metrics, status) == first
        assert table[f"{run}/tensorboard/candidates/0001"] == second


def test_a_search_of_many_trials_has_a_folder_for_the_first_of_them(tmp_path: Path) -> None:
    written(tmp_path, [trial(number, 0.5) for number in (MAX_CANDIDATES - 1, MAX_CANDIDATES)])
    assert set(hparams_table(tmp_path)) == {f"candidates/{MAX_CANDIDATES - 1:04}"}
    assert [step for step, _ in logged(tmp_path)["score/value"]] == [MAX_CANDIDATES - 1, MAX_CANDIDATES]


def test_new_bests_have_a_curve_and_a_picture_of_their_cell(tmp_path: Path) -> None:
    picks = {"width": 0, "rate": 0}
    written(
        tmp_path,
        [
            trial(0, 0.5, deep=0, **picks),
            trial(1, 0.25, deep=0, **picks),
            trial(2, 0.75, deep=1, op=0, **picks),
        ],
        Mixed(),
    )
    curves = {path.name: logged(path) for path in (tmp_path / "best").iterdir()}
    assert curves == {f"000{n}": {"best/inner_steps": [(0, 0.25), (1, value)]} for n, value in ((0, 0.5), (2, 0.75))}
    assert list(pictures(tmp_path)) == ["best/cell"]
    drawn = pictures(tmp_path)["best/cell"]
    assert [step for step, *_ in drawn] == [0, 2]
    assert drawn[0][1] != drawn[1][1]
    for _, png, width, height in drawn:
        assert (png[:4], width > height > 0) == (b"\x89PNG", True)


def test_a_controller_that_is_measured_is_logged_as_far_as_its_numbers_are_defined(tmp_path: Path) -> None:
    controller = Counting()
    log = TensorBoardLog(tmp_path, Numbers(), controller)
    for entry in (trial(0, 0.5), trial(1, None), replace(trial(2, 0.5), duplicate_of=0)):
        controller.tell([entry])
        log.add(entry)
    assert logged(tmp_path)["controller/told"] == [(1, 2.0), (2, 3.0)]


@pytest.mark.parametrize("cut", range(5))
def test_a_resumed_log_has_every_point_once(tmp_path: Path, cut: int) -> None:
    trials = [trial(n, value, deep=0, width=0, rate=0) for n, value in enumerate(VALUES)]
    written(tmp_path / "whole", trials, Mixed())
    written(tmp_path / "parts", trials[:cut], Mixed())
    written(tmp_path / "parts", trials, Mixed())
    assert everything(tmp_path / "parts") == everything(tmp_path / "whole")
    assert len(list((tmp_path / "parts").glob("events*"))) == 1 + (0 < cut < 4)


@pytest.mark.parametrize("damage", ["cut off", "changed", "emptied", "not events", "a folder", "removed"])
def test_what_is_damaged_is_logged_again_when_the_search_is_resumed(tmp_path: Path, damage: str) -> None:
    trials = [trial(n, value) for n, value in enumerate(VALUES)]
    written(tmp_path / "whole", trials)
    written(tmp_path / "parts", trials)
    [file] = (tmp_path / "parts").glob("events*")
    content = file.read_bytes()
    middle = len(content) // 2
    if damage in ("a folder", "removed"):
        file.unlink()
        (file if damage == "a folder" else tmp_path / "parts").mkdir(exist_ok=True)
    else:
        file.write_bytes(
            {
                "cut off": content[:-3],
                "changed": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
                "emptied": b"",
                "not events": b"mist" * 100,
            }[damage]
        )
    written(tmp_path / "parts", trials)
    if damage == "a folder":
        file.rmdir()
    assert everything(tmp_path / "parts") == everything(tmp_path / "whole")


def test_nothing_is_written_before_the_first_trial(tmp_path: Path) -> None:
    TensorBoardLog(tmp_path / "tb", Numbers())
    assert not (tmp_path / "tb").exists()


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        log = written(tmp_path / "file" / "tb", [trial(0, 0.5), trial(1, 0.5)])
    [record] = caplog.records
    assert "ends at trial 0 (NotADirectoryError" in record.getMessage()
    assert "the search goes on" in record.getMessage()
    (tmp_path / "file").unlink()
    log.add(trial(2, 0.5))
    assert not (tmp_path / "file").exists()


def test_a_folder_that_is_lost_meanwhile_is_made_again(tmp_path: Path) -> None:
    log = written(tmp_path / "tb", [trial(0, 0.5)])
    shutil.rmtree(tmp_path / "tb")
    log.add(trial(1, 0.5))
    assert logged(tmp_path / "tb")["score/value"] == [(1, 0.5)]


def test_logging_needs_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nas import Architecture, Trial\n"
        "from nas.report.tensorboard import TensorBoardLog\n"
        "from nas.testing import OnePoint\n"
        "assert not {'matplotlib', 'networkx', 'tensorboard'} & set(sys.modules)\n"
        "for _ in range(2):\n"
        "    log = TensorBoardLog(Path(sys.argv[1]), OnePoint())\n"
        "    log.add(Trial(0, Architecture('one-point', {'only': 0}), 1, 0, 'failed', error='no'))\n"
        "assert len(list(Path(sys.argv[1]).glob('candidates/0000/*'))) == 1\n"
        "assert not {'torch', 'tensorflow', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
