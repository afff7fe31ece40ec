"""Runs by rungs: a resumed one equals an unbroken one, and its checkpoints save training."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest
from helpers.launch import Crash, Quiet, crash_at, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures

from nas.analysis import ranking
from nas.config import Config, build
from nas.evaluators import MetaEvaluator
from nas.runs import folder, launch
from nas.runs import summary as run_summary
from nas.runs.launch import Outcome
from nas.store import Store

HALVES: dict[str, Any] = {
    "evaluator": {"budget": 4},
    "search": {"trials": 5, "fidelity": {"rungs": 3, "eta": 2}},
    "final": {"seeds": 1, "budget": 1},
}
"""A search by rungs of 1, 2 and 4 outer steps."""


@pytest.mark.parametrize(
    "lost, first, step",
    [
        pytest.param(False, 2, 4, id="checkpoints kept"),
        pytest.param(True, 1, 3, id="checkpoints lost"),
        pytest.param(False, 1, 1, id="checkpoints kept, all", marks=pytest.mark.slow),
        pytest.param(True, 1, 1, id="checkpoints lost, all", marks=pytest.mark.slow),
    ],
)
def test_by_rungs_a_run_broken_at_any_candidate_and_resumed_is_bit_for_bit_the_unbroken_one(inline, lost, first, step):
    whole = folder.new_run("whole", "toy")
    launch.start(toy(**HALVES), whole, Quiet())
    expected = result(whole)
    assert sorted({trial[2] for trial in expected[0]}) == [1, 2, 4]
    for event in range(first, len(expected[0]) + 1, step):
        run = folder.new_run(f"broken{event}", "toy")
        with pytest.raises(Crash):
            launch.start(toy(**HALVES), run, crash_at(event))
        files = list(run.checkpoints.iterdir())
        assert 0 < len(files) <= event
        for file in files if lost else ():
            file.unlink()
        launch.resume(run, Quiet())
        assert result(run) == expected
        assert not run.checkpoints.exists()


def test_by_rungs_a_candidate_at_the_top_has_the_score_of_a_full_training_for_fewer_steps_in_all(inline):
    run, config = folder.new_run("rungs", "toy"), toy(**HALVES)
    launch.start(config, run, Quiet())
    evaluator = launch.build(config).evaluator
    with Store.open(run.store_path, readonly=True) as store:
        trials = store.trials()
        assert {trial.number for trial in store.told()} == {trial.number for trial in trials if trial.budget == 1}
    top = [trial for trial in trials if trial.budget == 4]
    assert top
    for trial in top:
        full = evaluator.evaluate(trial.architecture, 4, trial.seed)
        for part in ("value", "stderr", "curve", "per_task", "protocol"):
            assert getattr(trial.score, part) == getattr(full, part)
    highest = {trial.architecture: trial.budget for trial in trials}  # they climb, so the last is the highest
    spent = run_summary.summary(run).to_json()["outer_steps"]
    assert spent == sum(highest.values()) < 5 * 4
    final = run_summary.summary(run).to_json()["final"]
    assert [entry["number"] for entry in final["finalists"]] == [ranking.best(top)[0].number]
    assert next(t for t in trials if t.number == final["median"]["number"]).budget == 1


def test_an_evaluator_that_cannot_go_on_trains_from_the_start_on_each_rung(inline, monkeypatch):
    class OnlyEvaluates(MetaEvaluator):
        advance = None

    def built(config: Config, *costs: Any) -> Any:
        parts = build(config, *costs)
        return replace(parts, evaluator=OnlyEvaluates(**vars(parts.evaluator)))

    monkeypatch.setattr(launch, "build", built)
    run = folder.new_run("rungs", "toy")
    launch.start(toy(**HALVES), run, Quiet())
    summary = run_summary.summary(run).to_json()
    assert not run.checkpoints.exists()
    assert {trial["budget"] for trial in summary["trials"]} == {1, 2, 4}
    assert summary["outer_steps"] == sum(trial["budget"] for trial in summary["trials"])


def test_interrupted_by_a_signal_a_search_by_rungs_keeps_its_checkpoints_and_goes_on(inline):
    whole = folder.new_run("whole", "toy")
    launch.start(toy(**HALVES), whole, Quiet())
    run = folder.new_run("signal", "toy")
    progress = Quiet(lambda heard: signal.raise_signal(signal.SIGINT) if heard == 4 else None)
    assert launch.start(toy(**HALVES), run, progress) == Outcome(run, "interrupted", None)
    assert any(run.checkpoints.iterdir())
    launch.resume(run, Quiet())
    assert result(run) == result(whole)
