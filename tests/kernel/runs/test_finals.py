"""Finals: fresh tasks choose the winner, test tasks are used once and last, and nothing is measured twice."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.class_variance import unit_variance
from nas.analysis.final_result import FinalResult
from nas.analysis.intervals import difference, estimate
from nas.analysis.seed_variance import SeedPool
from nas.architecture import Architecture
from nas.config import Config, FinalTable, Parts, from_json
from nas.errors import SearchError
from nas.executors import InlineExecutor
from nas.runs import Silence, machine_faults
from nas.runs.context import RunContext
from nas.runs.finals import run_finals, warning
from nas.runs.folder import RunFolder
from nas.runs.measurements import FRESH
from nas.space import enumerate_all
from nas.store import Store
from nas.task import Bank, TaskShape
from nas.trial import Score, Trial

NUM_TASKS = {"validation": 5, "test": 7}
Call = tuple[str, str, int, Bank]


class Space:
    """Eight architectures, or one."""

    def __init__(self, name: str, options: int) -> None:
        self.name, self.options = name, options

    def decide(self, choose: Any) -> int:
        return choose("number", range(self.options))

    def build(self, spec: Any, task: Any) -> Any:
        raise NotImplementedError


class Tasks:
    shape = TaskShape((1,), 1, "regression")


def quality(architecture: Architecture, seed: int, bank: Bank) -> float:
    """On test tasks the order of candidates and seeds is another than on validation tasks."""
    number = architecture.picks["number"] if architecture.space == "many" else 3.5
    sign = 1 if bank.split == "validation" else -1
    return sign * (number + 0.1 * (seed % 3))


@dataclass
class Fake:
    """Measures by `quality`, and writes down each call."""

    role: str
    calls: list[Call]
    quality: Callable[[Architecture, int, Bank], float] = quality
    tasks: Tasks = field(default_factory=Tasks)
    per_class: tuple[tuple[int, int, int], ...] = ()
    learner: Any = None

    def not_called(self, *_: Any) -> Any:
        raise AssertionError("the finals call nothing but measure")

    evaluate = network = check = trained = not_called

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        self.calls.append((self.role, architecture.key, seed, bank))
        assert budget == 9
        assert weights.name == f"{architecture.key}-seed{seed}.safetensors"
        value = self.quality(architecture, seed, bank)
        per_task = tuple(value + 0.01 * math.sin(task) for task in bank.indices)
        mean = sum(per_task) / len(per_task)
        score = Score(mean, 0.1, (0.0, mean), per_task, {"parameters": 3.0}, {"bank": bank.split})
        return replace(score, per_class=self.per_class, provenance={"seed": seed, "device": self.role})


MANY = list(enumerate_all(Space("many", 8)))


@dataclass
class Study:
    """A store in which a search has ended, and the finals of it."""

    store: Store
    run: RunFolder
    calls: list[Call] = field(default_factory=list)
    config: Config = field(
        default_factory=lambda: from_json(
            {
                "space": {"name": "mlp"},
                "tasks": {"name": "sinusoid"},
                "search": {"seed": 10},
                "final": {"top": 3, "seeds": 2, "budget": 9, "validation_tasks": 5, "tasks": 7, "baseline": "mlp40"},
            }
        )
    )

    def hold(self, on_done: Callable[[int, int], None] | None = None, **changes: Any) -> dict[str, Any] | None:
        """The result of the finals as JSON values; None where they were stopped."""
        given = {"quality": changes.pop("quality", quality), "per_class": changes.pop("per_class", ())}
        many, one = Space("many", 8), Space("one", 1)
        ours, theirs = Fake("ours", self.calls, **given), Fake("baseline", self.calls, **given)
        parts = Parts(many, many, None, ours, one, theirs)  # type: ignore  # the fakes do what the finals ask of them
        progress = Silence()
        progress.measured = on_done or progress.measured  # type: ignore[method-assign]
        final = run_finals(RunContext(self.run, self.store, self.config, parts, InlineExecutor(), progress, **changes))
        assert final is None or FinalResult.from_json(final.to_json()) == final
        return None if final is None else final.to_json()


@pytest.fixture
def study(tmp_path):
    """Scores of the search: 0.8, 0.1, …; those of numbers 1, 4 and 6 are the best."""
    run = RunFolder("a", tmp_path)
    values = [0.2, 0.9, 0.1, 0.3, 0.8, None, 0.7, 0.4]
    with Store.create(run.store_path, {"config": {}}) as store:
        for trial, value in zip(store.propose(MANY, 1, 10), values, strict=True):
            store.finish(finished(trial, value))
        yield Study(store, run)


def finished(trial: Trial, value: float | None) -> Trial:
    if value is None:
        return replace(trial, state="failed", error="it broke")
    return replace(trial, state="done", score=Score(value, 0.1, per_task=(value, value)), seconds=1.0)


def test_finalists_are_measured_on_fresh_tasks_and_only_winner_and_baseline_on_test_tasks(study):
    result = study.hold()
    fresh = [call for call in study.calls if call[3].split == "validation"]
    test = [call for call in study.calls if call[3].split == "test"]
    assert study.calls == fresh + test, "test tasks are touched before the winner is chosen"
    chosen = {MANY[number].key for number in (1, 4, 6)}
    middle = {MANY[7].key}
    assert {call[1] for call in fresh} == chosen | middle
    assert {call[3] for call in fresh} == {Bank("validation", FRESH, 5)}
    winner = MANY[6].key
    assert [call[:3] for call in test if call[0] == "ours"] == [("ours", winner, 11), ("ours", winner, 12)]
    assert {(role, seed) for role, _, seed, _ in test if role == "baseline"} == {("baseline", 11), ("baseline", 12)}
    assert {call[3] for call in test} == {Bank("test", 0, 7)}
    assert len(set(study.calls)) == len(study.calls) == (1 + 2 + 2) + 2 + 2 * 2
    assert result["winner"]["number"] == 6
    assert [(entry["number"], len(entry["seeds"])) for entry in result["finalists"]] == [(6, 2), (4, 2), (1, 1)]
    assert study.store.get("final") == result


def test_fresh_tasks_and_seeds_are_not_those_of_the_search(study):
    study.hold()
    search_bank = Bank("validation", 0, 100_000)
    for _, _, seed, bank in study.calls:
        assert seed != study.config.search.seed
        if bank.split == "validation":
            assert not set(bank.indices) & set(search_bank.indices)


def test_the_weights_to_export_are_chosen_by_validation_and_not_by_test(study):
    """Seed 11 is seed % 3 = 2, better on validation tasks and worse on test tasks than 12."""
    assert study.hold()["winner"]["weights_seed"] == 11


def test_the_numbers_are_those_of_the_measurements(study):
    result = study.hold()

    def rows(architecture, bank):
        fake = Fake("", [])
        paths = [study.run.weights(architecture, seed) for seed in (11, 12)]
        return [
            fake.measure(architecture, 9, s, bank=bank, weights=w).per_task
            for s, w in zip((11, 12), paths, strict=True)
        ]

    ours = rows(MANY[6], Bank("test", 0, 7))
    theirs = rows(Architecture("one", {"number": 0}), Bank("test", 0, 7))
    assert result["winner"]["value"] == pytest.approx(sum(map(sum, ours)) / 14)
    measured = {number: rows(MANY[number], Bank("validation", FRESH, 5)) for number in (6, 7)}
    others = {number: rows(MANY[number], Bank("validation", FRESH, 5)) for number in (1, 4)}
    counts = {entry["number"]: len(entry["seeds"]) for entry in result["finalists"]}
    banks = (
        {str(n): np.array(kept[: counts.get(n, 2)]) for n, kept in {**measured, **others}.items()},
        {"6": np.array(ours), "baseline": np.array(theirs)},
    )
    pool = SeedPool(banks, accuracy=False)
    square = np.mean(ours) ** 2
    pooled = pool.of_means().scaled(square)
    assert result["winner"]["interval"] == pytest.approx(estimate(ours, pooled=pooled).to_json()["interval"])
    assert result["baseline"]["value"] == estimate(theirs).value
    pooled = pool.of_differences().scaled(square + np.mean(theirs) ** 2)
    expected = difference(ours, theirs, pooled=pooled).to_json()
    assert result["difference"]["interval"] == pytest.approx(expected["interval"])
    assert result["difference"]["p_value"] == pytest.approx(expected["p_value"])
    assert 0 <= result["difference"]["p_value"] <= 1
    assert result["median"]["number"] == 7
    assert result["median"]["difference"]["value"] == pytest.approx(np.mean(measured[6]) - np.mean(measured[7]))
    assert (result["kind"], result["tasks"], result["failures"]) == ("regression", 7, [])
    assert result["winner"]["provenance"] == [{"seed": seed, "device": "ours"} for seed in (11, 12)]
    assert result["baseline"]["provenance"][1] == {"seed": 12, "device": "baseline"}
    assert "class_interval" not in json.dumps(result)
    assert result["winner"]["curve"] == [0.0, pytest.approx(result["winner"]["value"])]


def test_what_there_is_by_class_gives_intervals_over_classes(study):
    rows = ((1, 3, 10), (4, 9, 10), (5, 6, 10))
    result = study.hold(per_class=rows)
    units = unit_variance([Score(0, 0, per_class=rows)])
    for entry in (result["winner"], result["baseline"], result["median"], *result["finalists"]):
        assert entry["parts"]["classes"] == pytest.approx(units.over_units**0.5)
        assert entry["units"] == 3
        assert entry["stderr"] == pytest.approx(math.hypot(*entry["parts"].values()))
    for apart in (result["difference"], result["median"]["difference"]):
        assert apart["class_interval"] == [0, 0]
        assert apart["interval"] == apart["task_interval"]


@pytest.mark.parametrize(
    "validation_tasks, tasks, kind, queries, few",
    [
        (600, 600, "classification", 15, None),
        (600, 1000, "regression", 5, None),
        (200, 600, "classification", 15, "200 validation tasks"),
        (600, 599, "regression", 5, "599 test tasks"),
        (600, 600, "classification", 14, "14 queries a class"),
        (2, 4, "classification", 2, "2 validation tasks, 4 test tasks, 2 queries a class"),
        (600, 600, "classification", None, None),
    ],
)
def test_a_run_that_measures_little_says_so(validation_tasks, tasks, kind, queries, few):
    family = Tasks()
    family.shape = replace(Tasks.shape, kind=kind)
    if queries is not None:
        family.shots, family.queries = 1, queries
    said = warning(FinalTable(validation_tasks=validation_tasks, tasks=tasks), family)
    rule = "at least 600 tasks" + (" of 15 queries a class" if kind == "classification" else "")
    assert said == (few and f"measured on {few}; numbers to report need {rule}")


def test_the_warning_is_part_of_the_result(study):
    said = study.hold()["warning"]
    assert said == warning(study.config.final, Tasks())
    assert said.startswith("measured on 5 validation tasks, 7 test tasks;")


def test_finals_that_were_held_measure_nothing_again(study):
    first = study.hold()
    made = len(study.calls)
    assert study.hold() == first
    assert len(study.calls) == made


@pytest.mark.parametrize("kept", range(1, 11))
def test_finals_cut_short_go_on_where_they_were(study, kept):
    """Whatever number of measurements is stored, the others are made once, and the result is the unbroken one."""

    class Cut(BaseException):
        pass

    def cut(done: int, of: int) -> None:
        if len(study.calls) >= kept and len(study.store.items("measured/")) >= kept:
            raise Cut

    with pytest.raises(Cut):
        study.hold(on_done=cut)
    stored = len(study.store.items("measured/"))
    assert stored >= kept
    assert study.store.get("final") is None
    before = len(study.calls)
    result = study.hold()
    assert len(study.calls) - before == 11 - stored
    other = study.hold(quality=lambda *_: pytest.fail("measured again"))
    assert other == result
    assert result["winner"]["number"] == 6


def test_once_stopped_nothing_more_is_begun(study):
    assert study.hold(stop=lambda: True) is None
    assert study.calls == []
    assert study.store.get("final") is None
    stopped = []
    assert study.hold(stop=lambda: bool(stopped), on_done=lambda d, of: stopped.append(d) if d == of else None) is None
    assert {call[3].split for call in study.calls} == {"validation"}
    assert study.hold()["winner"]["number"] == 6
    assert len(study.calls) == 11


def test_close_finalists_are_measured_more_often_than_the_one_that_is_dropped_and_no_more_in_all(study):
    """15 measurements as of three finalists with five seeds: 3 + 6 + 6. The test has the first five seeds."""
    final = study.config.final.model_copy(update={"seeds": 5})
    study.config = study.config.model_copy(update={"final": final})
    result = study.hold()
    assert [(entry["number"], len(entry["seeds"])) for entry in result["finalists"]] == [(6, 6), (4, 6), (1, 3)]
    fresh = [call for call in study.calls if call[3].split == "validation" and call[1] != MANY[7].key]
    assert len(fresh) == 15
    for number, count in ((6, 6), (4, 6), (1, 3)):
        assert [call[2] for call in fresh if call[1] == MANY[number].key] == list(range(11, 11 + count))
    for part in ("winner", "baseline", "median"):
        assert [origin["seed"] for origin in result[part]["provenance"]] == [11, 12, 13, 14, 15]


def test_the_last_to_be_dropped_is_not_the_best_of_the_first_measurements(study):
    """Number 1 leads with the first seed, number 4 with both."""
    firsts = {1: {11: 9.0, 12: 0.0}, 4: {11: 8.0, 12: 8.0}, 6: {11: 7.0, 12: 99.0}}

    def judge(architecture: Architecture, seed: int, bank: Bank) -> float:
        return firsts.get(architecture.picks["number"], {}).get(seed, 0.0)

    result = study.hold(quality=judge)
    assert [(entry["number"], len(entry["seeds"])) for entry in result["finalists"]] == [(4, 2), (1, 2), (6, 1)]
    assert result["winner"]["number"] == 4


def breaks(what: Callable[[Architecture, int, Bank], bool], error: Any = None) -> Any:
    """A quality that fails where `what` says so."""

    def judge(architecture: Architecture, seed: int, bank: Bank) -> float:
        if what(architecture, seed, bank):
            if error is None:
                raise ValueError("it\nbroke again")
            return float(error)
        return quality(architecture, seed, bank)

    return judge


@pytest.mark.parametrize("error", [None, math.nan, math.inf])
def test_a_finalist_that_fails_is_dropped_and_the_others_stay(study, error):
    result = study.hold(quality=breaks(lambda a, seed, bank: a == MANY[6] and seed == 12, error))
    assert [entry["number"] for entry in result["finalists"]] == [4, 1]
    assert result["winner"]["number"] == 4
    assert len(result["failures"]) == 1
    assert MANY[6].key in result["failures"][0]["measurement"]
    assert "\n" not in result["failures"][0]["error"]


def test_a_number_that_no_store_can_hold_is_a_failed_measurement(study):
    """The value is finite, but the curve is not."""
    fake = Fake.measure

    def measure(self, architecture, budget, seed, *, bank, weights):
        score = fake(self, architecture, budget, seed, bank=bank, weights=weights)
        return replace(score, curve=(math.inf, score.value)) if architecture == MANY[6] else score

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fake, "measure", measure)
        result = study.hold()
    assert result["winner"]["number"] == 4
    assert len(result["failures"]) == 1, "it is not measured again"


def test_without_a_finalist_that_can_be_measured_the_finals_fail_with_the_reason(study):
    with pytest.raises(SearchError, match="none of the 3 finalists could be trained again: ValueError: it broke"):
        study.hold(quality=breaks(lambda *_: True))
    assert study.store.get("final") is None


@pytest.mark.parametrize("role, there", [("many", "baseline"), ("one", "winner")])
def test_where_winner_or_baseline_fails_on_test_tasks_the_other_is_kept(study, role, there):
    judge = breaks(lambda a, seed, bank: bank.split == "test" and a.space == role)
    result = study.hold(quality=judge)
    assert result[there] is not None
    assert result["difference"] is None
    assert [result["winner"], result["baseline"]].count(None) == 1
    assert len(result["failures"]) == 2


def test_a_median_that_fails_is_left_out(study):
    result = study.hold(quality=breaks(lambda a, *_: a == MANY[7]))
    assert result["median"] is None
    assert result["winner"]["number"] == 6


@pytest.mark.parametrize("trials, part", [(0, "none could be begun"), (2, "the last (#1) failed with it broke")])
def test_without_a_scored_candidate_there_are_no_finals(tmp_path, trials, part):
    run = RunFolder("b", tmp_path)
    with Store.create(run.store_path, {}) as store:
        for trial in store.propose(MANY[:trials], 1, 10):
            store.finish(finished(trial, None))
        with pytest.raises(SearchError) as caught:
            Study(store, run).hold()
    assert part in str(caught.value)


def test_a_measurement_that_raises_the_machines_error_on_a_sound_disk_is_repeated_and_then_fails(study):
    study.run.folder.mkdir(exist_ok=True)
    calls: list[int] = []

    def full(architecture: Architecture, seed: int, bank: Bank) -> float:
        if architecture.space == "one" and bank.split == "test":
            calls.append(seed)
            if seed == min(calls) or calls.count(seed) < 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return quality(architecture, seed, bank)

    final = study.hold(quality=full)
    assert final is not None
    assert [failure["error"] for failure in final["failures"]] == ["OSError: [Errno 28] No space left on device"]
    assert all(calls.count(seed) == 3 for seed in calls)


@pytest.mark.parametrize("role", ["many", "one"])
def test_an_error_of_the_machine_stops_the_finals_and_is_no_failed_measurement(study, caplog, monkeypatch, role):
    monkeypatch.setattr(machine_faults, "_is_sound", lambda _folder: False)

    def full(architecture: Architecture, seed: int, bank: Bank) -> float:
        if architecture.space == role and bank.split == "test":
            raise OSError(errno.EFBIG, "File too large")
        return quality(architecture, seed, bank)

    assert study.hold(quality=full) is None
    assert "the run stops: OSError: [Errno 27] File too large" in caplog.text
    assert "nas resume" in caplog.text
    assert all(record["error"] is None for record in study.store.items("measured/").values())
    final = study.hold()
    assert final is not None
    assert final["difference"] is not None
    assert not final["failures"]
