"""What candidates print, kept beside the run and shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.search import Bits, Chain, Toy, run_toy

from nas.architecture import Architecture
from nas.errors import RunError
from nas.executors import ProcessExecutor
from nas.runs import trial_logs
from nas.runs.folder import RunFolder
from nas.search import SearchOptions, search
from nas.store import Store
from nas.trial import Score, Trial


class Talking(Toy):
    """Prints its budget and how it is called, with characters that could move a terminal's cursor."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        sys.stdout.write(f"budget {budget}\x1b[2J\ta\r50 %\r\nend\n")
        return super().evaluate(architecture, budget, seed)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder("toy", tmp_path)
    with Store.create(run.store_path, {}) as store:
        run_toy(store, trials=3)
    return run


def test_what_workers_print_is_kept_by_trial(tmp_path: Path) -> None:
    run = RunFolder("toy", tmp_path)

    def keep(trial: Trial, output: bytes) -> None:
        trial_logs.keep(run, str(trial.number), output)

    with Store.create(run.store_path, {}) as store, ProcessExecutor(1) as executor:
        options = SearchOptions(trials=2, budget=5, seed=0, workers=1, on_output=keep)
        search(Bits(), Chain(), Talking(), store, executor, options)
    assert trial_logs.output_text(run, 0) == "budget 5?[2J\ta\n50 %\nend\n"
    assert sorted(path.name for path in run.outputs.iterdir()) == ["0.txt", "1.txt"]


def test_a_trial_that_printed_nothing_has_no_file(run: RunFolder) -> None:
    trial_logs.keep(run, "0", b"")
    assert not run.outputs.exists()
    assert trial_logs.output_text(run, 0) == ""
    with pytest.raises(RunError, match="run 'toy' has no trial 3; it has 0 to 2"):
        trial_logs.output_text(run, 3)
    with pytest.raises(RunError, match="no trial -1"):
        trial_logs.output_text(run, -1)


def test_all_files_together_are_limited(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_logs, "TOTAL_BYTES", 10)
    trial_logs.keep(run, "0", b"x" * 10)
    assert not trial_logs.is_full(run)
    trial_logs.keep(run, "1", b"y")
    assert trial_logs.is_full(run)
    assert trial_logs.output_text(run, 1) == ""
    assert trial_logs.output_text(run, 0) == "x" * 10


def test_a_log_that_cannot_be_written_costs_no_result(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    run.outputs.write_text("in the way")
    trial_logs.keep(run, "0", b"x")
    assert "what 0 printed is not kept" in caplog.text
