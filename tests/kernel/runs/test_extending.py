"""Extended runs: more candidates, failed ones again, finals on what is there; and what they say of the test tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.launch import TRIALS, Crash, Quiet, crash_at, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures
from helpers.loop import Recorded
from helpers.search import FEW, HALVES, Chain, Toy, run_toy

from nas.analysis.ranking import num_candidates
from nas.architecture import Architecture
from nas.errors import ConfigError, RunError
from nas.evaluators import MetaEvaluator
from nas.report.terminal import progress_text
from nas.runs import extending, folder, launch, summary
from nas.runs.extending import Extension
from nas.runs.folder import RunFolder
from nas.store import Store
from nas.trial import Score


def searched(name: str, **tables: Any) -> RunFolder:
    run = folder.new_run(name, "toy")
    assert launch.start(toy(**tables), run, Quiet()).state == "done"
    return run


def stopped(name: str, event: int) -> RunFolder:
    run = folder.new_run(name, "toy")
    with pytest.raises(Crash):
        launch.start(toy(), run, crash_at(event))
    return run


def extend(run: RunFolder, **extension: Any) -> Any:
    outcome = launch.resume(run, Quiet(), extension=Extension(**extension))
    assert outcome.state == "done"
    return outcome.final


def test_an_extended_run_has_the_trials_and_the_winner_of_a_run_of_as_many_candidates(inline, caplog):
    whole, run = result(searched("whole", search={"trials": TRIALS + 3})), searched("extended")
    first = result(run)
    final = extend(run, trials=TRIALS + 3)
    trials, told, measured, stored, state = result(run)
    assert (trials, told, state) == (whole[0], whole[1], "done")
    assert set(measured) - set(whole[2]) <= set(first[2])
    assert {key: measured[key] for key in whole[2]} == whole[2]
    assert {**stored, "warning": None} == {**whole[3], "warning": None}
    assert f"used the test tasks before, after {TRIALS} scored trials" in final.warning
    assert "used the test tasks before" not in whole[3]["warning"]
    assert "the new finals use them again" in caplog.text
    told = summary.summary(run)
    assert (told.config["search"]["trials"], told.final) == (TRIALS + 3, final)
    assert launch.resume(run, Quiet()).final == final


def test_an_extension_that_is_broken_at_any_event_is_resumed_without_being_asked_for_again(inline):
    whole = searched("whole")
    extend(whole, trials=TRIALS + 2)
    for event in (1, 2):
        run = searched(f"broken{event}")
        with pytest.raises(Crash):
            launch.resume(run, crash_at(event), extension=Extension(trials=TRIALS + 2))
        assert summary.summary(run).state == "interrupted"
        assert launch.resume(run, Quiet()).state == "done"
        assert result(run) == result(whole)


def test_finals_are_held_on_what_is_there_and_stay_until_the_search_is_extended(inline):
    run = stopped("cut", 2)
    final = extend(run, finish=True)
    assert f"the search ended after 2 of {TRIALS} candidates (--finish)" in final.warning
    assert launch.resume(run, Quiet()).final == final
    assert len(summary.summary(run).trials) == 2
    longer = extend(run, trials=TRIALS)
    assert result(run)[0] == result(searched("whole"))[0]
    assert "--finish" not in longer.warning
    assert "after 2 scored trials" in longer.warning


def test_finals_that_were_asked_for_go_on_where_they_were_broken(inline):
    run = stopped("cut", 2)
    with pytest.raises(Crash):
        launch.resume(run, crash_at(3), extension=Extension(finish=True))
    assert launch.resume(run, Quiet()).state == "done"
    assert len(summary.summary(run).trials) == 2


@pytest.mark.parametrize(
    "extension, text",
    [
        ({"trials": TRIALS}, f"--trials {TRIALS}: the run has {TRIALS} candidates already"),
        ({"retry": True}, "no candidate failed"),
    ],
)
def test_an_extension_by_nothing_is_refused_and_leaves_the_result(inline, extension, text):
    run = searched("a")
    before = result(run)
    with pytest.raises(RunError, match=text):
        launch.resume(run, Quiet(), extension=Extension(**extension))
    assert result(run) == before


def test_finals_without_a_score_and_contradictions_are_refused(inline):
    run = folder.new_run("none", "toy")
    folder.create(run, toy()).close()
    with pytest.raises(RunError, match="no candidate is scored yet"):
        launch.resume(run, Quiet(), extension=Extension(finish=True))
    for other in ({"trials": 9}, {"retry": True}):
        with pytest.raises(ConfigError, match="leave out one of them"):
            Extension(finish=True, **other)


def test_a_failed_candidate_of_a_run_is_evaluated_again_ranked_and_counted_as_a_retry(inline, monkeypatch):
    whole, evaluate = searched("whole"), MetaEvaluator.evaluate
    failing = summary.summary(whole).final.winner.architecture

    def broken(self: Any, architecture: Architecture, budget: int, seed: int) -> Score:
        if architecture == failing:
            raise MemoryError("no memory")
        return evaluate(self, architecture, budget, seed)

    with monkeypatch.context() as patched:
        patched.setattr(MetaEvaluator, "evaluate", broken)
        run = searched("broken")
    [failed] = [trial.number for trial in summary.summary(run).trials if trial.state == "failed"]
    told = result(run)[1]
    extend(run, retry=True)
    after = summary.summary(run)
    again = after.trials[-1]
    assert (again.retry_of, again.state, again.number) == (failed, "done", TRIALS)
    assert progress_text(after) == f"{TRIALS} of {TRIALS} candidates, 1 retry"
    assert result(run)[1] == told
    assert after.to_json()["trials"][-1]["retry_of"] == failed


def retry_all(store: Store) -> int:
    extending.extend(store, Extension(retry=True))
    return len(store.pending())


@pytest.mark.parametrize("options", [{}, FEW, HALVES, {**FEW, **HALVES}], ids=["plain", "few", "rungs", "both"])
def test_failed_trials_are_evaluated_again_and_the_controller_is_told_nothing_of_it(tmp_path: Path, options):
    with Store.create(tmp_path / "trials.sqlite", {"config": {}}) as store:
        run_toy(store, **options)
        before, told = store.trials(), store.told()
        failed = [t.number for t in before if t.state == "failed" and t.duplicate_of is None]
        assert failed
        assert retry_all(store) == len(failed)
        controller = Recorded()
        run_toy(store, controller=controller, evaluator=Toy(harmless=True), **options)
        again = [trial for trial in store.trials() if trial.retry_of is not None]
        assert [trial.retry_of for trial in again] == failed
        assert {trial.state for trial in again} == {"done"}
        assert store.trials()[: len(before)] == before
        assert controller.told == store.told() == told
        assert not extending._failed(store.trials())
        more = {**options, "trials": options.get("trials", 8) + 4}
        run_toy(store, controller=Recorded(), **more)  # its replay compares every proposal with the stored one
        assert len([t for t in store.told() if t.duplicate_of is None]) == more["trials"]


def test_a_retry_that_fails_is_tried_again_under_the_number_of_the_first(tmp_path: Path):
    with Store.create(tmp_path / "trials.sqlite", {"config": {}}) as store:
        run_toy(store)
        count = retry_all(store)
        run_toy(store)  # as before, the same candidates fail
        failed = [trial.retry_of for trial in store.trials() if trial.retry_of is not None]
        assert retry_all(store) == count
        assert [trial.retry_of for trial in store.pending()] == failed
    with Store.open(tmp_path / "trials.sqlite") as store:
        run_toy(store, controller=Chain(), evaluator=Toy(harmless=True))
        assert num_candidates(store.trials()) == 8


def test_a_network_whose_retry_has_a_score_gives_it_to_later_duplicates(tmp_path: Path):
    with Store.create(tmp_path / "trials.sqlite", {"config": {}}) as store:
        run_toy(store, trials=10, **FEW)
        retry_all(store)
        run_toy(store, trials=25, evaluator=Toy(harmless=True), **FEW)
        retried = {trial.number for trial in store.trials() if trial.retry_of is not None}
        shared = [trial for trial in store.trials() if trial.duplicate_of in retried]
        assert shared
        assert {trial.state for trial in shared} == {"done"}
