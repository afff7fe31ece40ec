"""Terminal texts of a run: numbers with their intervals, and a bar that counts right after a resume."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from nas.analysis.final_result import FinalResult
from nas.analysis.run_summary import RunSummary, SearchSummary, TakenOptions
from nas.architecture import Architecture
from nas.cli.progress import TerminalProgress, header
from nas.config import from_json
from nas.report.random_control import NONE
from nas.report.terminal import choices_lines, progress_text, score_text, trials_text
from nas.report.terminal import final_text as text_of
from nas.runs.folder import run_of
from nas.trial import Score, Trial

CONFIG = from_json(
    {
        "space": {"name": "few-shot-cell"},
        "tasks": {"name": "glyphs", "ways": 7, "shots": 2},
        "search": {"trials": 12, "device": "cpu"},
    }
)


def trial(number: int, value: float | None = 0.5, error: str = "") -> Trial:
    if value is None:
        return Trial(number, Architecture("s", {"a": number}), 1, 0, "failed", error=error)
    score = Score(value, 0.005, metrics={"parameters": 12345.0, "flops": 2.5e6})
    return Trial(number, Architecture("s", {"a": number}), 1, 0, "done", score, seconds=1.25)


def entry(value: float, **more: Any) -> dict[str, Any]:
    return {
        "value": value,
        "interval": [value - 0.01, value + 0.01],
        "seeds": [value, value],
        "parameters": 12345.0,
        "flops": 2.5e6,
        "number": 4,
        "protocol": {},
        **more,
    }


def final_text(data: dict[str, Any]) -> str:
    return text_of(FinalResult.from_json(data))


def final(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "kind": "classification",
        "tasks": 600,
        "finalists": [entry(0.8), entry(0.7, number=2)],
        "median": {**entry(0.6, number=1), "difference": {"value": 0.2, "interval": [0.15, 0.25]}},
        "winner": entry(0.882),
        "baseline": entry(0.841, name="conv4"),
        "difference": {"value": 0.041, "interval": [0.032, 0.05]},
        "failures": [],
    }
    return {**usual, **changes}


def test_the_header_says_what_is_searched_on_what_by_whom_and_where():
    assert (
        header(CONFIG, 2) == "few-shot-cell on glyphs, 7-way 2-shot · reinforce · 12 candidates · 2 workers on the CPU"
    )


def test_the_header_says_the_rungs():
    data = CONFIG.to_json()
    data["search"]["fidelity"] = {"rungs": 3, "eta": 4}
    assert " · 12 candidates, rungs of 12 → 50 → 200 outer steps · " in header(from_json(data), 2)


def test_a_score_has_the_half_width_of_its_95_percent_interval():
    assert score_text(trial(0, 0.8714)) == "0.871 ± .010"
    assert score_text(trial(0, None)) == "–"


def test_the_final_table_has_percentages_intervals_and_the_paired_difference():
    text = final_text(final())
    assert "with 2 seeds: #4 80.0 %, #2 70.0 %" in text
    assert "#1 60.0 %; the winner is +20.0 (+15.0 – +25.0) better" in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["winner #4"][2:] == ["88.2", "%", "87.2", "–", "89.2", "12,345", "2.50"]
    assert rows["conv4 baseline"][2:] == ["84.1", "%", "83.1", "–", "85.1", "12,345", "2.50"]
    assert rows["difference"][1:5] == ["+4.1", "+3.2", "–", "+5.0"]
    assert rows["difference"][5:] == ["(600", "test", "tasks,", "paired)"]


def test_a_p_value_and_intervals_over_classes_are_told_where_they_are():
    assert not re.search("p [=<]|classes|warning", final_text(final()))
    over = {"class_interval": [0.8, 0.9]}
    apart = {"value": 0.041, "interval": [0.032, 0.05], "p_value": 0.0123, "class_interval": [-0.01, 0.09]}
    lines = final_text(
        final(winner=entry(0.882, **over), baseline=entry(0.841, name="conv4", **over), difference=apart)
    ).splitlines()
    assert lines[-3].endswith("+3.2 – +5.0   (600 test tasks, paired, p = 0.012)")
    assert lines[-1] == (
        "95 % intervals are over tasks and seeds, for these classes. Over classes like these (bootstrap, by an earlier "
        "version): winner 80.0 – 90.0, baseline 80.0 – 90.0, difference -1.0 – +9.0."
    )
    assert "paired, p < 0.001)" in final_text(final(difference={**apart, "p_value": 1e-9}))


def test_what_the_intervals_cover_is_said_in_a_sentence_with_the_parts_beside_it():
    parts = {"tasks": 0.002, "trainings": 0.003, "alphabets": 0.01}
    new = {"parts": parts, "units": 20, "stderr": 0.011, "class_interval": [0.8, 0.9], "task_interval": [0.87, 0.89]}
    apart = {"value": 0.041, "interval": [0.032, 0.05], "p_value": 0.01, **new, "parts": {"tasks": 0.004}}
    tested = final(winner=entry(0.882, **new), baseline=entry(0.841, name="conv4", **new), difference=apart)
    lines = final_text(tested).splitlines()
    assert lines[-3:] == [
        "95 % intervals are over other tasks, trainings and alphabets like these (20 alphabets here).",
        "For these trainings only: difference; so few do not tell how others would differ.",
        "Standard errors in points from tasks besides their alphabets · trainings · alphabets: winner 0.2 · 0.3 · 1.0, "
        "baseline 0.2 · 0.3 · 1.0, difference 0.4 · – · –.",
    ]


def test_a_single_training_is_shown_and_its_interval_called_one_for_these_trainings():
    one = {"parts": {"tasks": 0.004}, "stderr": 0.004}
    tested = final(winner=entry(0.882, **one, seeds=[0.882]), baseline=entry(0.841, name="conv4", **one, seeds=[0.841]))
    lines = final_text(tested).splitlines()
    assert lines[-2:] == [
        "95 % intervals are over other tasks like these.",
        "For these trainings only: winner, baseline; so few do not tell how others would differ. Each training: "
        "winner 88.2 %; baseline 84.1 %.",
    ]


def test_values_without_any_spread_have_words_in_place_of_an_interval():
    lines = final_text(final(winner=entry(1.0, stderr=0.0, parts={"tasks": 0.0}))).splitlines()
    [line] = [line for line in lines if line.startswith("winner #")]
    assert "100.0 %      all values equal" in line


def controlled() -> dict[str, Any]:
    """What a result has of the random control."""
    apart = {"value": 0.05, "interval": [0.02, 0.08], "p_value": 0.002}
    anytime = {"evolution": [[1.0, 0.5], [12.0, 0.7]], "random": [[1.0, 0.4], [12.0, 0.6]]}
    return entry(0.832, number=123, name="random", difference=apart, anytime=anytime)


def test_the_random_control_stands_beside_the_winner():
    lines = final_text(final(control=controlled())).splitlines()
    rows = {re.split(r"  +", line)[0]: line.split() for line in lines}
    assert rows["random control #123"][3:] == ["83.2", "%", "82.2", "–", "84.2", "12,345", "2.50"]
    assert rows["winner − random"][3:] == [
        "+5.0",
        "+2.0",
        "–",
        "+8.0",
        "(600",
        "test",
        "tasks,",
        "paired,",
        "p",
        "=",
        "0.002)",
    ]
    assert rows["difference"][1] == "+4.1"
    assert any(
        line.startswith("Best score in the search after 3, 6, 9, 12 evaluations: evolution 50.0 %") for line in lines
    )
    assert NONE not in lines


def test_without_a_control_one_line_says_so_and_one_that_failed_says_why():
    assert final_text(final()).splitlines().count(NONE) == 1
    text = final_text(final(control={"name": "random", "error": "no luck", "anytime": {}}))
    assert "The random control has no result: no luck" in text.splitlines()
    assert "control #" not in text


def test_of_a_table_the_control_is_shown_by_what_is_reported():
    winner = {"number": 4, "search_value": 0.5, "value": 93.5}
    usual: dict[str, Any] = {"kind": "table", "finalists": [], "failures": [], "winner": winner}
    assert final_text({**usual, "control": None}).splitlines() == [
        "winner #4: 0.5000 in the search, reported 93.5000",
        NONE,
    ]
    lines = final_text({**usual, "control": {**controlled(), "search_value": 0.4}}).splitlines()
    assert lines[1] == "random control #123: 0.4000 in the search, reported 0.8320"


def test_finalists_that_were_measured_unequally_often_say_so():
    unequal = [entry(0.8, seeds=[0.8] * 6), entry(0.7, seeds=[0.7] * 6), entry(0.6, seeds=[0.6] * 3)]
    assert "on fresh tasks with 6, 6 and 3 seeds: #4 80.0 %" in final_text(final(finalists=unequal))
    assert "on fresh tasks with 1 seed: #4 80.0 %" in final_text(final(finalists=[entry(0.8, seeds=[0.8])]))


def test_that_little_was_measured_is_one_line():
    assert "warning: measured on 7 test tasks" in final_text(final(warning="measured on 7 test tasks")).splitlines()


def test_regression_is_not_in_percent():
    text = final_text(final(kind="regression"))
    assert "test −MSE" in text
    assert "%" not in text.replace("95 % interval", "")
    assert "0.872 to 0.892" in text


def test_what_failed_or_is_unknown_is_said_and_breaks_nothing():
    failures = [{"measurement": "measured/test/s/1/2", "error": "ValueError: no"}]
    text = final_text(final(winner=None, difference=None, median=None, failures=failures))
    assert "winner                      failed" in text
    assert "measured/test/s/1/2 failed: ValueError: no" in text
    assert "conv4 baseline" in final_text(final(baseline=entry(0.5, name="conv4", parameters=None, flops=None)))


def test_the_table_of_trials_is_sorted_cut_and_names_the_failures():
    shown = [trial(number, 0.5 + number / 100) for number in range(25)]
    shown += [trial(25, None, "ValueError: no"), Trial(26, Architecture("s", {}), 1, 0)]
    lines = trials_text(shown).splitlines()
    assert lines[1].split()[:2] == ["#24", "0.7400"]
    assert len(lines) == 1 + 20 + 1 + 1
    assert lines[-2] == "… and 5 more; all with --json"
    assert lines[-1] == "#25 failed: ValueError: no"


def summary_of(trials: list[Trial], **changes: Any) -> RunSummary:
    return RunSummary("a", "done", **{"config": CONFIG.to_json(), "search": SearchSummary(trials), **changes})


def by_rungs() -> list[Trial]:
    """Of a search with rungs of 22, 66 and 200: four candidates of which one failed, and two promotions."""
    low = [replace(trial(n, value), budget=22) for n, value in enumerate([0.9, 0.7, 0.6, None])]
    return [*low, replace(trial(4, 0.5), budget=66), replace(trial(5, 0.4), budget=200)]


def test_the_table_of_trials_has_higher_budgets_first():
    lines = trials_text(by_rungs()).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["#5", "#4", "#0", "#1", "#2", "#3"]
    assert [line.split()[3] for line in lines[1:4]] == ["200", "66", "22"]


def test_how_far_a_search_is_counts_candidates_and_by_rungs_what_they_cost():
    data, three = CONFIG.to_json(), [trial(n) for n in range(3)]
    assert progress_text(summary_of(three)) == "3 of 12 candidates"
    assert progress_text(summary_of([])) == "0 of 12 candidates"
    control = SearchSummary([trial(0), trial(1, None, "no"), replace(trial(7), duplicate_of=1)])
    assert progress_text(summary_of(three, control=control)) == "3 of 12 candidates, 2 of the random control"
    data["search"]["fidelity"] = {"rungs": 3, "eta": 3}
    steps = 3 * 22 + 66 + 200
    text = progress_text(summary_of(by_rungs(), config=data))
    assert text == f"4 of 12 candidates, 2 promotions; {steps} outer steps, 600 without rungs"
    assert progress_text(summary_of(by_rungs()[:-1], config=data)).startswith("4 of 12 candidates, 1 promotion; ")


def test_duplicates_are_counted_apart_and_no_rows_of_the_table():
    again = [replace(trial(3, 0.9), duplicate_of=1), replace(trial(4, None, "no"), duplicate_of=2)]
    shown = [trial(0), trial(1), trial(2, None, "no"), *again]
    assert progress_text(summary_of(shown)) == "3 of 12 candidates, 2 duplicates"
    assert progress_text(summary_of(shown[:4])) == "3 of 12 candidates, 1 duplicate"
    assert [line.split()[0] for line in trials_text(shown).splitlines()[1:]] == ["#0", "#1", "#2"]


@pytest.fixture
def progress() -> TerminalProgress:
    return TerminalProgress()


def test_without_a_terminal_there_is_a_line_now_and_then_on_standard_error(progress, capsys):
    with progress.shown():
        progress.started(run_of("a"), CONFIG, [trial(0), trial(1, None)], workers=1)
        for number in range(2, 12):
            last = trial(number) if number != 5 else trial(5, None, "ValueError: [red]no[/red]")
            progress.trial(last, trial(0))
        progress.stopping()
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[1] == "a: 2 candidates were done before"
    assert "#5 failed: ValueError: [red]no[/red]" in lines
    assert "10/12   best 0.500 ± .010 (#0)   failed 2" in lines
    assert "12/12   best 0.500 ± .010 (#0)   failed 2" in lines
    assert "press Ctrl-C again" in " ".join(lines[-2:])


def test_the_bar_counts_candidates_and_promotions_apart(progress, capsys):
    data = CONFIG.to_json()
    data["search"] |= {"trials": 4, "fidelity": {"rungs": 3, "eta": 3}}
    first, second, third, fourth, *promoted = by_rungs()
    with progress.shown():
        progress.started(run_of("a"), from_json(data), [first, promoted[0]], workers=1)
        for last in (second, third, promoted[1], fourth):
            progress.trial(last, promoted[0])
        [task] = progress._bar.tasks
        assert (task.completed, task.total) == (4, 4)
        assert task.description == "4/4   best 0.500 ± .010 (#4)   promoted 2   failed 1"
    assert "a: 1 candidates were done before" in capsys.readouterr().err


def test_the_bar_counts_duplicates_apart_and_says_when_there_is_nothing_new(progress, capsys):
    first, failed = trial(0), trial(1, None, "no")
    again = [replace(first, number=2, duplicate_of=0), replace(failed, number=3, duplicate_of=1)]
    with progress.shown():
        progress.started(run_of("a"), CONFIG, [first, again[0]], workers=1)
        progress.trial(failed, first)
        for number in range(4, 14):
            progress.trial(replace(again[1], number=number), first)
        [task] = progress._bar.tasks
        assert (task.completed, task.total) == (2, 12)
        assert task.description == "2/12   best 0.500 ± .010 (#0)   11 duplicates   failed 1"
        progress.exhausted()
    said = capsys.readouterr().err.splitlines()
    assert said[1:] == [
        "a: 1 candidates were done before",
        "#1 failed: no",
        "the controller proposes nothing new: 2 of 12 candidates, 11 duplicates",
    ]


@pytest.mark.parametrize(("trials", "workers", "said"), [(1, 3, True), (3, 4, True), (3, 3, False), (12, 3, False)])
def test_a_budget_below_the_number_of_workers_is_said(progress, capsys, trials, workers, said):
    config = CONFIG.model_copy(update={"search": CONFIG.search.model_copy(update={"trials": trials})})
    with progress.shown():
        progress.started(run_of("a"), config, [], workers=workers)
    expected = f"search.trials is {trials}: no more than {trials} of the {workers} workers are busy at a time\n"
    assert (expected in capsys.readouterr().err) == said


def test_a_candidate_that_went_on_with_fewer_tasks_at_once_is_told_of(progress, capsys):
    with progress.shown():
        progress.started(run_of("a"), CONFIG, [], workers=1)
        done = trial(0)
        progress.trial(replace(done, score=replace(done.score, tasks_at_once=12)), done)
        progress.trial(trial(1), done)
    told = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert told == ["#0: memory ran out; it went on with 12 tasks at once"]


def test_each_bank_of_the_finals_has_its_own_count_also_after_a_resume(progress):
    with progress.shown():
        progress.started(run_of("a"), CONFIG, [trial(n) for n in range(12)], workers=1)
        for done, of in ((3, 6), (4, 6), (5, 6), (6, 6), (0, 4), (1, 4)):
            progress.measured(done, of)
    counts = [(task.completed, task.total) for task in progress._bar.tasks]
    assert counts == [(12, 12), (6, 6), (1, 4)]


@pytest.mark.parametrize("width", [40, 80, 300])
def test_choices_fit_the_terminal_and_move_no_cursor(width: int) -> None:
    trial = Trial(3, Architecture("s", {"a": 0}), 1, 0, "done", Score(0.5, 0.01))
    taken = {f"choice {i}": "two words" for i in range(30)} | {"evil": "\x1b[2J\n"}
    options = TakenOptions({trial.architecture.key: taken})
    head, *lines = choices_lines(RunSummary("a", "running", {}, SearchSummary([trial]), options=options), width)
    assert head == "Choices of the best so far, #3:"
    assert all(len(line) <= min(width, 120) and line.isprintable() for line in lines)
    assert "".join(lines).count("=two words") == 30
    assert lines[-1].endswith("evil=?[2J?")
    assert list(choices_lines(RunSummary("a", "running", {}, SearchSummary([])), width)) == []
