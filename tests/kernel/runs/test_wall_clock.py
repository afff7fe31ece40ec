"""Limit of a run's whole time: the search leaves room for the finals, and what does not fit is kept and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.launch import Quiet, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures

from nas.architecture import Architecture
from nas.runs import folder, launch, random_control, summary, wall_clock
from nas.runs.extending import Extension
from nas.runs.folder import RunFolder
from nas.runs.wall_clock import SPENT, WallClock, finals_s
from nas.store import Store
from nas.trial import Score, Trial

UNREACHED = 10.0**6
"""Seconds of a limit that no test reaches."""


def scored(number: int, seconds: float, *, training: float, budget: int = 2) -> Trial:
    score = Score(0.5 + number, 0.1, per_task=(0.5,) * 4, metrics={"train_seconds": training})
    return Trial(number, Architecture("mlp", {"a": number}), budget, 0, "done", score, seconds=seconds)


class Stopwatch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Quiet):
    """Lets each evaluation and each measurement take a second of a stopwatch."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__(lambda _event: setattr(watch, "now", watch.now + 1.0))


@pytest.fixture(name="watch")
def seconds_of_a_test(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Runs go by this clock. Their finals are estimated at six seconds, and an evaluation at none."""
    watch = Stopwatch()
    monkeypatch.setattr(launch, "WallClock", lambda store, limit_s, _began: WallClock(store, limit_s, None, watch))
    monkeypatch.setattr("nas.runs.searching.finals_s", lambda *arguments: 6.0 * bool(arguments[2]))
    return watch


def limited(limit_s: float, **search: Any) -> Any:
    return toy(search={"trials": 30, "wall_clock_s": limit_s, **search})


def start(limit_s: float, watch: Stopwatch, **search: Any) -> tuple[RunFolder, launch.Outcome]:
    run = folder.new_run("limited", "toy")
    return run, launch.start(limited(limit_s, **search), run, Slow(watch))


def test_the_search_ends_early_enough_for_the_finals_and_the_result_says_so(inline, watch):
    run, outcome = start(11.5, watch)
    assert outcome.state == "done"
    trials = summary.summary(run).trials
    assert 4 <= len(trials) <= 6
    assert (
        f"the search ended after {len(trials)} of 30 candidates (search.wall_clock_s = 11.5)" in outcome.final.warning
    )
    assert launch.resume(run, Quiet()).final == outcome.final
    assert len(summary.summary(run).trials) == len(trials)


def test_finals_that_do_not_fit_are_kept_said_and_held_to_their_end_by_a_resume(inline, watch, caplog):
    run, outcome = start(2.5, watch)
    assert (outcome.state, outcome.final) == ("interrupted", None)
    assert "search.wall_clock_s = 2.5 is used up" in caplog.text
    with Store.open(run.store_path, readonly=True) as store:
        measured = store.items("measured/")
        assert store.get(SPENT) >= 2.5
    assert measured
    assert launch.resume(run, Slow(watch)).state == "done"
    assert {key: result(run)[2][key]["value"] for key in measured} == {
        k: r["score"]["value"] for k, r in measured.items()
    }


def test_an_extension_has_the_limit_anew(inline, watch):
    run, _ = start(11.5, watch)
    before = len(summary.summary(run).trials)
    longer = launch.resume(run, Slow(watch), extension=Extension(trials=30))
    assert longer.state == "done"
    assert before < len(summary.summary(run).trials) <= before + 6


def test_search_and_control_share_what_their_finals_leave(inline, watch):
    run, outcome = start(25.5, watch, control="random")
    told = summary.summary(run)
    assert outcome.state == "done"
    assert 5 <= len(told.trials) <= 7
    assert told.control is not None
    assert len(told.control.trials) == len(told.trials)
    assert outcome.final.control.name == random_control.CONTROL


def test_a_run_without_a_limit_stores_no_time(inline, tmp_path: Path):
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        WallClock(store, 0.0).keep()
        assert store.get(SPENT) is None
        WallClock(store, UNREACHED).keep()
        assert 0 <= store.get(SPENT) < UNREACHED


def test_seconds_of_earlier_processes_count_and_a_late_resume_may_end_its_finals(tmp_path: Path):
    watch = Stopwatch()
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        clock = WallClock(store, 10.0, clock=watch)
        watch.now = 4.0
        clock.keep()
        again = WallClock(store, 10.0, clock=watch)
        watch.now = 9.0
        assert (again.spent_s, again.used_up) == (9.0, False)
        watch.now = 10.0
        assert again.used_up
        again.keep()
        assert not WallClock(store, 10.0, clock=watch).used_up
        store.put(SPENT, 0.0)
        assert WallClock(store, 10.0, 3.0, watch).spent_s == 7.0


def test_the_estimate_is_that_of_rounds_of_the_finalists_on_average(monkeypatch):
    monkeypatch.setattr(wall_clock, "measures", lambda _evaluator: True)
    config = toy(final={"top": 2, "seeds": 3, "budget": 6, "validation_tasks": 8, "tasks": 12})
    finalists = [scored(2, 3.0, training=1.0), scored(1, 5.0, training=4.0)]
    # With three times the steps and three times the tasks, they take 9 and 15 seconds.
    # Two finalists share six trainings; the median candidate, the winner and the baseline network have three each.
    assert finals_s(config, object(), finalists, 1) == pytest.approx(12.0 * (6 + 3 + 6))
    assert finals_s(config, object(), finalists, 3) == pytest.approx(12.0 * 5)
    assert finals_s(config, object(), [], 1) == 0.0


def test_the_estimate_of_a_promoted_candidate_counts_the_steps_of_its_last_rung(monkeypatch):
    monkeypatch.setattr(wall_clock, "measures", lambda _evaluator: True)
    config = toy(
        evaluator={"budget": 9},
        search={"fidelity": {"rungs": 2, "eta": 3}},
        final={"top": 1, "seeds": 1, "budget": 9, "validation_tasks": 4, "tasks": 4},
    )
    promoted = scored(0, 8.0, training=6.0, budget=9)
    assert finals_s(config, object(), [promoted], 4) == pytest.approx((6.0 * 9 / 6 + 2.0) * 2)
