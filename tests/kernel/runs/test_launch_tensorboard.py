"""TensorBoard log of a run: whenever the run is broken, the resumed one has the log of the unbroken one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.launch import TRIALS, Crash, Quiet, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures
from helpers.tensorboard import everything, hparams_table, logged

from nas.config import Config, from_json
from nas.report import TensorBoardLog
from nas.runs import folder, launch, searching
from nas.runs.folder import RunFolder
from nas.trial import Trial

CONFIGS = {
    "reinforce": toy(),
    "rungs": toy(evaluator={"budget": 4}, search={"fidelity": {"rungs": 2, "eta": 2}}),
    "evolution": from_json(
        {**toy().to_json(), "controller": {"name": "evolution", "first": 2, "population": 2, "tournament": 1}}
    ),
}


def log_of(run: RunFolder) -> dict[str, Any]:
    """All points of a run's log but seconds, with how many seconds there are."""
    found = everything(run.logs)
    for scalars, _ in (value for at, value in found.items() if at != "hparams"):
        for tag in ("cost/seconds", "seconds"):
            scalars[tag] = len(scalars.get(tag, ()))
    for _, metrics, _ in found["hparams"].values():
        metrics.pop("seconds")
    return found


@pytest.fixture(name="searches_only")
def runs_that_end_after_their_search(inline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise Crash

    monkeypatch.setattr(launch, "run_finals", crash)


def searched(name: str, config: Config) -> RunFolder:
    run = folder.new_run(name, "toy")
    with pytest.raises(Crash):
        launch.start(config, run, Quiet())
    return run


def resumed(run: RunFolder) -> RunFolder:
    with pytest.raises(Crash):
        launch.resume(run, Quiet())
    return run


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_run_broken_between_the_store_and_the_log_has_the_log_of_the_unbroken_one(
    searches_only: None, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    whole = searched("whole", config)
    expected = log_of(whole)
    trials = len(expected["."][0]["search/failures"])
    assert (trials > TRIALS) == (len(config.budgets) > 1)
    assert any(tag.startswith("controller/") for tag in expected["."][0])
    for broken_at in (0, trials // 2, trials - 1) if config == CONFIGS["rungs"] else (trials // 2,):

        class Broken(TensorBoardLog):
            def add(self, trial: Trial, broken_at: int = broken_at) -> None:
                if trial.number == broken_at:
                    raise Crash
                super().add(trial)

        with monkeypatch.context() as patched:
            patched.setattr(searching, "TensorBoardLog", Broken)
            run = searched(f"broken{broken_at}", config)
        assert log_of(resumed(run)) == expected
    shutil.rmtree(whole.logs)
    assert log_of(resumed(whole)) == expected


def test_runs_stand_side_by_side(searches_only: None, runs_here: Path) -> None:
    for name in ("one", "two"):
        searched(name, toy())
    table = hparams_table(runs_here)
    assert set(table) == {f"{run}/tensorboard/candidates/{n:04}" for run in ("one", "two") for n in range(TRIALS)}
    assert all(metrics.keys() == {"score", "parameters", "flops", "seconds"} for _, metrics, _ in table.values())
    scalars = logged(runs_here / "one" / "tensorboard")
    assert [step for step, _ in scalars["controller/entropy"]] == [1, 2, 3]


def test_a_log_that_cannot_be_written_changes_nothing_of_a_run(
    searches_only: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = searched("whole", toy())
    monkeypatch.setattr(RunFolder, "logs", property(lambda run: Path("/proc/none/tensorboard")))
    run = searched("unlogged", toy())
    assert result(run) == result(whole)
    assert sum("TensorBoard log" in record.getMessage() for record in caplog.records) == 1
