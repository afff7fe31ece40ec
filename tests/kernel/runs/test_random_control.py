"""Random-search control: a search of its own beside the run's, with the same budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from helpers.launch import Crash, Quiet, crash_at, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures
from helpers.tabular import nas_bench_201_table, tabled  # noqa: F401  # a fixture
from helpers.tensorboard import logged

from nas.analysis import ranking
from nas.analysis.final_result import FinalResult
from nas.analysis.intervals import compare
from nas.architecture import Architecture
from nas.compare.one_search import entered, fingerprint, look_up
from nas.config import KeyFault, build, from_json
from nas.executors import InlineExecutor
from nas.report.terminal import final_text
from nas.runs import folder as runs
from nas.runs import launch, resume_checks
from nas.runs import summary as run_summary
from nas.runs.artifacts import write_report
from nas.runs.folder import RunFolder
from nas.runs.measurements import FRESH
from nas.search import SearchOptions, search
from nas.store import MemoryStore, Store
from nas.task import Bank
from nas.trial import Score, Trial

RANDOM: dict[str, Any] = {"search": {"control": "random"}}
EVENTS = 4 + 4 + (4 + 4) + (2 + 2)
"""Candidates of both, then 2 + 2 fresh and 2 + 2 test measurements of the run, and 2 + 2 of the control."""


def controlled(name: str, progress: Quiet | None = None, **tables: Any) -> RunFolder:
    """A run with a control, both of a search that is not random; `progress` may break it off."""
    run = runs.new_run(name, "toy")
    launch.start(toy(**{**RANDOM, **tables}), run, progress or Quiet())
    return run


def whole(run: RunFolder) -> tuple[Any, ...]:
    return result(run), result(run.control)


def measured_only(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Trials, the order of telling, and measurements; without the final result and the state."""
    return found[:3]


def test_the_search_and_its_finals_are_those_of_a_run_without_control(inline):
    plain = runs.new_run("plain", "toy")
    launch.start(toy(), plain, Quiet())
    run = controlled("with")
    without, beside = result(plain), result(run)
    assert measured_only(beside) == measured_only(without)
    assert {**beside[3], "control": None} == without[3]
    assert without[3]["control"] is None
    assert not (plain.folder / "control").exists()
    assert not plain.control.store_path.exists()
    assert run_summary.summary(plain).to_json()["control"] is None


def test_the_control_is_the_random_search_of_the_same_budget_seed_and_tasks(inline):
    run = controlled("a")
    config = toy()
    parts = build(from_json({**config.to_json(), "controller": {"name": "random"}}))
    store = MemoryStore()
    options = SearchOptions(
        trials=config.search.trials, budget=config.evaluator.budget, seed=config.search.seed, workers=1
    )
    search(parts.space, parts.controller, parts.evaluator, store, InlineExecutor(), options)
    with Store.open(run.control.store_path, readonly=True) as kept:
        found = kept.trials()
    assert [(t.architecture, t.score.value, t.seed, t.budget) for t in found] == [
        (t.architecture, t.score.value, t.seed, t.budget) for t in store.trials()
    ]
    summary = run_summary.summary(run).to_json()
    assert [t["key"] for t in summary["control"]["trials"]] == [t.architecture.key for t in found]
    assert summary["control"]["trials"] != summary["trials"]


def test_its_winner_is_that_of_the_same_finals_and_the_difference_is_paired(inline):
    run = controlled("a", final={"top": 3})
    config = toy(final={"top": 3})
    final = run_summary.summary(run).to_json()["final"]
    rival = final["control"]
    with Store.open(run.control.store_path, readonly=True) as store:
        trials = store.trials()
    finalists = {entry["number"]: entry for entry in rival["finalists"]}
    assert set(finalists) == {t.number for t in ranking.best(trials, 3)}
    assert rival["number"] == rival["finalists"][0]["number"]
    assert [len(entry["seeds"]) for entry in rival["finalists"]] == [2, 2, 1]
    measurer, seeds = build(config).measurer, (1, 2)

    def scores(architecture: Architecture, bank: Bank) -> list[Score]:
        folder = run.folder / "again"
        return [
            measurer.measure(architecture, 3, seed, bank=bank, weights=folder / f"{architecture.key}-{seed}")
            for seed in seeds
        ]

    winner = Architecture.from_json(final["winner"]["architecture"])
    other = trials[rival["number"]].architecture
    test = Bank("test", 0, 4)
    assert rival["difference"] == compare(scores(winner, test), scores(other, test)).to_json()
    assert rival["seeds"] == [score.value for score in scores(other, test)]
    again = [score.value for score in scores(other, Bank("validation", FRESH, 4))]
    assert finalists[rival["number"]]["seeds"] == again
    assert [origin["seed"] for origin in rival["provenance"]] == [1, 2]


# Events that a run without control does not have; usually one in each of the control's search and measurements.
@pytest.mark.parametrize(
    "events",
    [(7, 16, EVENTS - 1), pytest.param((4, 7, 8, 16, 17, EVENTS - 1), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_broken_at_any_event_and_resumed_it_is_bit_for_bit_the_unbroken_one(inline, events):
    progress = Quiet()
    expected = whole(controlled("whole", progress))
    assert progress.events == EVENTS
    for event in events:
        run = runs.new_run(f"broken{event}", "toy")
        with pytest.raises(Crash):
            launch.start(toy(**RANDOM), run, crash_at(event))
        assert run_summary.summary(run).state == "interrupted"
        launch.resume(run, Quiet())
        assert whole(run) == expected
    done = Quiet()
    assert launch.resume(run, done).state == "done"
    assert (done.events, whole(run)) == (0, expected)


def test_interrupted_by_a_signal_it_goes_on(inline):
    expected = whole(controlled("whole"))
    for event in (6, EVENTS - 2):
        run = runs.new_run(f"signal{event}", "toy")
        asked = Quiet(lambda heard, event=event: signal.raise_signal(signal.SIGINT) if heard == event else None)
        assert launch.start(toy(**RANDOM), run, asked).state == "interrupted"
        assert run_summary.summary(run).final is None
        assert launch.resume(run, Quiet()).state == "done"
        assert whole(run) == expected


def test_killed_with_sigkill_in_the_control_a_run_of_processes_is_the_unbroken_one(inline):
    """The killed one is of processes, the others are not."""
    run = runs.run_of("killed")
    command = [sys.executable, __file__, run.name, str(4 + 2)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert run_summary.summary(run).state == "interrupted"
    assert launch.resume(run, Quiet()).state == "done"
    assert whole(run) == whole(controlled("whole"))


def test_a_control_that_fails_loses_nothing_and_says_why(inline, monkeypatch):
    plain = runs.new_run("plain", "toy")
    launch.start(toy(), plain, Quiet())
    evaluate = launch.build(toy()).evaluator.__class__.evaluate
    calls = []

    def four(self: Any, *arguments: Any) -> Score:
        calls.append(arguments)
        if len(calls) > 4:
            raise ValueError("no luck today")
        return evaluate(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("nas.evaluators.meta.MetaEvaluator.evaluate", four)
        run = controlled("failing")
    final = run_summary.summary(run).to_json()["final"]
    assert {**final, "control": None} == run_summary.summary(plain).to_json()["final"]
    assert set(final["control"]) == {"name", "error", "anytime"}
    assert "no luck today" in final["control"]["error"]
    assert "The random control has no result: " in final_text(FinalResult.from_json(final))
    before = whole(run)
    assert launch.resume(run, Quiet()).state == "done"
    assert whole(run) == before


def test_one_that_fails_too_often_is_not_searched_again(inline, monkeypatch):
    """A search ends after 20 failures in a row; the resumed run does not make 20 more."""
    tables = {"search": {"control": "random", "trials": 25}, "space": {"widths": [4, 8, 16], "max_depth": 4}}
    tables["final"] = {"seeds": 1, "budget": 1}
    evaluate = launch.build(toy()).evaluator.__class__.evaluate
    calls = []

    def some(self: Any, *arguments: Any) -> Score:
        calls.append(arguments)
        if len(calls) > 25:
            raise ValueError("no luck today")
        return evaluate(self, *arguments)

    monkeypatch.setattr("nas.evaluators.meta.MetaEvaluator.evaluate", some)
    run = controlled("failing", **tables)
    assert len(calls) == 45
    assert "20 candidates failed in a row" in run_summary.summary(run).to_json()["final"]["control"]["error"]
    before = whole(run)
    assert launch.resume(run, Quiet()).state == "done"
    assert len(calls) == 45
    assert whole(run) == before


def test_where_both_find_the_same_network_the_difference_is_nothing(inline):
    run = controlled("one", space={"widths": [4], "max_depth": 1})
    final = run_summary.summary(run).to_json()["final"]
    assert final["control"]["key"] == final["winner"]["key"]
    assert final["control"]["difference"]["value"] == 0


def test_of_a_search_by_rungs_the_control_has_rungs_of_its_own(inline):
    tables = {
        "evaluator": {"budget": 4},
        "search": {"trials": 4, "fidelity": {"rungs": 2, "eta": 2}, "control": "random"},
        "final": {"seeds": 1, "budget": 1},
    }
    expected = whole(controlled("whole", **tables))
    assert {trial[2] for trial in expected[1][0]} == {2, 4}
    run = runs.new_run("broken", "toy")
    with pytest.raises(Crash):
        launch.start(toy(**tables), run, crash_at(len(expected[0][0]) + 2))
    assert any(run.control.checkpoints.iterdir())
    assert not run.checkpoints.exists()
    launch.resume(run, Quiet())
    assert whole(run) == expected
    assert not run.control.checkpoints.exists()


def test_tensorboard_and_the_report_have_both_searches_and_the_winner_is_that_of_the_search(inline):
    run = controlled("a")
    for folder, of in ((run.folder / "tensorboard", run), (run.folder / "tensorboard" / "control", run.control)):
        with Store.open(of.store_path, readonly=True) as store:
            values = [t.value for t in store.trials()]
        assert [value for _, value in logged(folder)["score/value"]] == pytest.approx(values)
    with Store.open(run.store_path, readonly=True) as store:
        text = write_report(run, store, resume_checks.parts_of(store)).read_text("utf-8")
        trials, final = store.trials(), runs.final_of(store)
    assert "Best score against evaluations" in text
    assert f"control random #{final.control.best.number}" in text
    assert final.winner.architecture == trials[final.winner.number].architecture


def test_of_a_table_the_control_has_the_same_simulated_time_and_what_is_reported(table, tmp_path):
    config = tabled(table, controller={"name": "regularized-evolution", "population": 4, "tournament": 2})
    controlled = from_json({**config.to_json(), "search": {**config.to_json()["search"], "control": "random"}})
    run, plain = runs.new_run("a", "toy"), runs.new_run("plain", "toy")
    final, without = (launch.start(c, r, Quiet()).final.to_json() for c, r in ((controlled, run), (config, plain)))
    assert {**final, "control": None} == without
    expected = look_up(entered(config, "random", 0), "random", 0)
    rival = final["control"]
    assert rival["value"] == expected.reported
    assert rival["difference"]["value"] == final["winner"]["value"] - expected.reported
    points = [[point.evaluations, point.value] for point in expected.curve]
    assert rival["anytime"]["random"] == [*points, [expected.evaluations, points[-1][1]]]
    again = launch.resume(run, Quiet()).final
    assert again.to_json() == final
    assert f"random control #{rival['number']}: " in final_text(again)


def test_anytime_has_the_points_where_the_best_changes_and_the_end():
    def trial(number: int, value: float | None, budget: int = 10, duplicate_of: int | None = None) -> Trial:
        state, score = ("failed", None) if value is None else ("done", Score(value, 0.1))
        return Trial(number, Architecture("s", {"a": number}), budget, 0, state, score, duplicate_of=duplicate_of)

    found = [
        trial(0, None),
        trial(1, -3.0),
        trial(2, -5.0),
        trial(3, -1.0, duplicate_of=1),
        trial(4, -2.0),
        trial(5, None),
    ]
    pending = Trial(9, Architecture("s", {"a": 9}), 10, 0)
    assert ranking.anytime([*found, pending]) == ((2, -3.0), (4, -2.0), (5, -2.0))
    above = [*found, trial(6, -4.0, budget=30), trial(7, -1.0)]
    assert ranking.anytime(above) == ((2, -3.0), (4, -2.0), (6, -4.0), (7, -4.0))
    assert ranking.anytime(found[:1]) == ranking.anytime([]) == ()
    assert ranking.anytime(found[1:2]) == ((1, -3.0),)


def test_the_control_of_a_random_search_is_refused():
    with pytest.raises(KeyFault, match="the controller is random") as caught:
        build(from_json({**toy(**RANDOM).to_json(), "controller": {"name": "random"}}))
    assert caught.value.path == ("search", "control")


def test_a_comparison_has_no_controls_and_is_not_changed_by_the_key():
    plain, asked = toy(), toy(**RANDOM)
    assert entered(asked, "random", 3).search.control == "none"
    assert fingerprint(entered(asked, "evolution", 0)) == fingerprint(entered(plain, "evolution", 0))


def main(name: str, event: int) -> None:
    """Starts the toy run with its control, or resumes it, and is killed at an event."""

    def kill(heard: int) -> None:
        if heard == event:
            os.kill(os.getpid(), signal.SIGKILL)

    run = runs.run_of(name)
    if run.folder.exists():
        launch.resume(run, Quiet(kill))
    else:
        launch.start(toy(**RANDOM), run, Quiet(kill))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
