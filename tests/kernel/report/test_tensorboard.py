"""What is logged is what TensorBoard's own reader finds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.report import TensorBoardLog
from nas.trial import Score, Trial

VALUES = [0.5, 0.75, None, 0.625]


def trial(number: int, value: float | None) -> Trial:
    architecture = Architecture("space", {"a": number})
    if value is None:
        return Trial(number, architecture, 10, 0, "failed", error="no", seconds=0.5)
    metrics = {"parameters": 100.0 + number, "flops": 2e6, "adapt_s": 1.0}
    return Trial(number, architecture, 10, 0, "done", Score(value, 0.01, metrics=metrics), seconds=2.0)


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_every_scalar_reads_back(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path / "tb")
    for number, value in enumerate(VALUES):
        log.add(trial(number, value))
    log.close()
    assert logged(tmp_path / "tb") == {
        "score/value": [(0, 0.5), (1, 0.75), (3, 0.625)],
        "score/best": [(0, 0.5), (1, 0.75), (2, 0.75), (3, 0.75)],
        "cost/parameters": [(0, 100.0), (1, 101.0), (3, 103.0)],
        "cost/flops": [(0, 2e6), (1, 2e6), (3, 2e6)],
        "cost/seconds": [(0, 2.0), (1, 2.0), (2, 0.5), (3, 2.0)],
        "search/failures": [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0)],
        "search/repeats": [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)],
    }


def test_repeats_are_counted_and_nothing_else_is_logged_of_them(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, [trial(0, 0.5), replace(trial(1, 0.5), duplicate_of=0)])
    log.add(trial(2, None))
    log.add(replace(trial(3, None), duplicate_of=2))
    log.add(replace(trial(4, 0.5), duplicate_of=0))
    log.close()
    assert logged(tmp_path) == {
        "score/best": [(2, 0.5), (3, 0.5), (4, 0.5)],
        "cost/seconds": [(2, 0.5)],
        "search/failures": [(2, 1.0), (3, 1.0), (4, 1.0)],
        "search/repeats": [(2, 1.0), (3, 2.0), (4, 3.0)],
    }


def test_the_best_is_the_best_of_the_highest_budget_reached(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, [trial(0, 0.5)])
    for entry in (
        trial(1, 0.75),
        replace(trial(2, None), budget=90),
        replace(trial(3, 0.25), budget=30),
        trial(4, 1.0),
    ):
        log.add(entry)
    log.close()
    assert logged(tmp_path)["score/best"] == [(1, 0.75), (2, 0.75), (3, 0.25), (4, 0.25)]


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_resumed_log_goes_on_from_what_was_told(tmp_path: Path, cut: int) -> None:
    trials = [trial(number, value) for number, value in enumerate(VALUES)]
    whole, parts = TensorBoardLog(tmp_path / "whole"), [TensorBoardLog(tmp_path / "first")]
    parts.append(TensorBoardLog(tmp_path / "second", trials[:cut]))
    for entry in trials:
        whole.add(entry)
        parts[entry.number >= cut].add(entry)
    for log in (whole, *parts):
        log.close()
    joined: dict[str, list[tuple[int, float]]] = {}
    for folder in ("first", "second"):
        if (tmp_path / folder).exists():
            for tag, scalars in logged(tmp_path / folder).items():
                joined.setdefault(tag, []).extend(scalars)
    assert joined == logged(tmp_path / "whole")


def test_nothing_is_written_before_the_first_trial(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path / "tb")
    log.close()
    assert not (tmp_path / "tb").exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        TensorBoardLog(tmp_path / "file" / "tb").add(trial(0, 0.5))


def test_logging_needs_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nas import Architecture, Trial\n"
        "from nas.report.tensorboard import TensorBoardLog\n"
        "assert not {'matplotlib', 'networkx', 'tensorboard'} & set(sys.modules)\n"
        "log = TensorBoardLog(Path(sys.argv[1]))\n"
        "log.add(Trial(0, Architecture('s', {}), 1, 0, 'failed', error='no'))\n"
        "log.close()\n"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
