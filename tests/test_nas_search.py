"""The loop keeps its promises: nothing acknowledged is lost, and a resumed run is the unbroken one."""

from __future__ import annotations

import itertools
import math
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import helpers_search
import pytest
from helpers_search import AT_ONCE, FEW, HALVES, TRIALS, Bits, Chain, List, OneByOne, Toy, read_numbers, run_toy

from nas.architecture import Architecture, Score, Trial
from nas.errors import Rejected, SearchError, SpaceError, StoreError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.repeats import evaluated
from nas.space import enumerate_all
from nas.store import Store

CONTROLLERS: dict[str, Callable[[], Any]] = {
    "chain": Chain,
    "chain in threes": lambda: Chain(batch=3),
    "list": lambda: List(100),
    "one by one": lambda: OneByOne(100),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        yield store


def stopping_after(count: int) -> tuple[Callable[[Trial], None], Callable[[], bool]]:
    """Arguments `on_trial` and `stop` that stop a search when `count` trials are finished."""
    seen: list[Trial] = []
    return seen.append, lambda: len(seen) >= count


def unbroken(folder: Path, **options: Any) -> list[Trial]:
    with Store.create(folder / "unbroken.sqlite", {}) as store:
        assert run_toy(store, **options) == "done"
        assert store.trials() == store.told()
        return store.trials()


class Recorded(Chain):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Trial] = []

    def tell(self, trials: Sequence[Trial]) -> None:
        super().tell(trials)
        self.told += trials


def test_toys_fail_now_and_then(tmp_path: Path) -> None:
    states = [trial.state for trial in unbroken(tmp_path)]
    assert {"done", "failed"} == set(states)


@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS)
def test_a_run_stopped_anywhere_resumes_to_the_unbroken_one(make: Callable[[], Any], tmp_path: Path) -> None:
    expected = unbroken(tmp_path, controller=make())
    for first in range(TRIALS):
        second = (first + TRIALS) // 2
        path = tmp_path / f"{first}.sqlite"
        Store.create(path, {}).close()
        for count in (first, second - first):
            on_trial, stop = stopping_after(count)
            with Store.open(path) as store:
                assert run_toy(store, controller=make(), on_trial=on_trial, stop=stop) == "interrupted"
        with Store.open(path) as store:
            assert len(store.trials()) == second
            assert run_toy(store, controller=make()) == "done"
            assert store.trials() == expected


@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS)
def test_a_run_by_rungs_stopped_anywhere_resumes_to_the_unbroken_one(make: Callable[[], Any], tmp_path: Path) -> None:
    with Store.create(tmp_path / "unbroken.sqlite", {}) as store:
        assert run_toy(store, controller=make(), **HALVES) == "done"
        expected, told = store.trials(), store.told()
    assert {trial.budget for trial in expected} == {2, 4, 8}
    for count in range(len(expected)):
        path = tmp_path / f"{count}.sqlite"
        on_trial, stop = stopping_after(count)
        with Store.create(path, {}) as store:
            assert run_toy(store, controller=make(), on_trial=on_trial, stop=stop, **HALVES) == "interrupted"
            assert len(store.trials()) == count
        with Store.open(path) as store:
            assert run_toy(store, controller=make(), **HALVES) == "done"
            assert store.trials() == expected
            assert store.told() == told


@pytest.mark.parametrize("workers", [1, 3])
def test_promotions_are_trials_beyond_those_asked_for_and_the_controller_never_hears_of_them(
    workers: int, store: Store
) -> None:
    controller = Recorded()
    with ThreadPoolExecutor(workers) as executor:
        options = {**HALVES, "trials": 40, "executor": executor, "workers": workers}
        assert run_toy(store, controller=controller, **options) == "done"
    trials, promoted = store.trials(), store.promoted()
    assert len(evaluated(trials)) == 40 + len(promoted)
    assert {t.number for t in trials if t.budget > 2} == promoted
    assert controller.told == store.told()
    assert sorted(t.number for t in controller.told) == [t.number for t in trials if t.budget == 2]
    again = Recorded()
    store.replay(again)
    assert again.ask(5) == controller.ask(5)
    for trial in trials:
        below = [
            t for t in trials[: trial.number] if (t.architecture, t.budget) == (trial.architecture, trial.budget // 2)
        ]
        assert trial.budget == 2 or any(t.state == "done" for t in below)
    assert HALVES["fidelity"].promotion(trials, 8) is None


def test_a_free_worker_promotes_before_it_asks_for_more(store: Store) -> None:
    run_toy(store, evaluator=Toy(harmless=True), controller=List(6), **{**HALVES, "trials": 6})
    values = [sum(trial.architecture.picks.values()) for trial in store.trials()]
    assert values[:2] == [0, 1], "the first two of the list differ in one bit"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4, 2, 2, 4, 8, 2, 2, 4]


def test_stopped_with_nothing_left_but_promotions_a_search_is_interrupted(store: Store) -> None:
    on_trial, stop = stopping_after(2)
    options = {**HALVES, "trials": 2, "evaluator": Toy(harmless=True), "controller": List(9)}
    assert run_toy(store, on_trial=on_trial, stop=stop, **options) == "interrupted"
    assert len(store.trials()) == 2
    assert run_toy(store, **{**options, "controller": List(9)}) == "done"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4]


def test_when_the_controller_has_no_more_promotions_go_on(store: Store) -> None:
    assert run_toy(store, controller=List(4), evaluator=Toy(harmless=True), **HALVES) == "exhausted"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4, 2, 2, 4, 8]


def test_a_candidate_that_fails_on_a_rung_climbs_no_further_and_counts_as_a_failure(store: Store) -> None:
    class Weak(Toy):
        def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
            if budget > 2:
                raise RuntimeError("out of breath")
            return super().evaluate(architecture, budget, seed)

    controller = Recorded()
    assert run_toy(store, controller=controller, evaluator=Weak(harmless=True), **HALVES) == "done"
    failed = [trial for trial in store.trials() if trial.state == "failed"]
    assert {trial.budget for trial in store.trials()} == {2, 4}
    assert [trial.number for trial in failed] == sorted(store.promoted())
    assert len({trial.architecture for trial in failed}) == len(failed) >= 5
    assert all(trial.state == "done" for trial in controller.told)


def test_a_longer_run_begins_with_the_shorter_one(tmp_path: Path, store: Store) -> None:
    expected = unbroken(tmp_path)
    assert run_toy(store, trials=3) == "done"
    assert run_toy(store, trials=2) == "done"
    assert store.trials() == expected[:3]
    run_toy(store)
    assert store.trials() == expected


@pytest.mark.parametrize("where", ["propose", "repeat", "promote", "finish", "tell", "on_trial"])
@pytest.mark.parametrize("count", range(4))
def test_an_error_between_any_two_steps_loses_nothing(where: str, count: int, tmp_path: Path, store: Store) -> None:
    """The step is done, then the process 'dies': a fresh controller and the store continue."""
    with Store.create(tmp_path / "unbroken.sqlite", {}) as whole:
        run_toy(whole, **HALVES, **FEW, controller=Chain(AT_ONCE))
        expected = whole.trials()
    controller, left = Chain(AT_ONCE), iter(range(count))

    class Died(BaseException):
        pass

    def then_die(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any) -> Any:
            result = step(*args)
            if next(left, None) is None:
                raise Died
            return result

        return stepping

    on_trial = then_die(lambda _trial: None) if where == "on_trial" else lambda _trial: None
    if where != "on_trial":
        target: Any = controller if where == "tell" else store
        setattr(target, where, then_die(getattr(target, where)))
    with pytest.raises(Died):
        run_toy(store, controller=controller, on_trial=on_trial, **HALVES, **FEW)
    store.close()
    with Store.open(store.path) as again:
        run_toy(again, **HALVES, **FEW, controller=Chain(AT_ONCE))
        assert again.trials() == expected


def test_the_controller_never_runs_ahead_of_the_store(store: Store) -> None:
    class Watching(Chain):
        def tell(self, trials: Sequence[Trial]) -> None:
            super().tell(trials)
            self.heard = [*getattr(self, "heard", []), *trials]
            assert store.told() == self.heard

    controller, heard = Watching(), []
    run_toy(store, controller=controller, on_trial=heard.append)
    assert heard == store.told() == controller.heard


def test_many_workers_replay_to_the_same_controller(store: Store) -> None:
    controller = Recorded()
    with ThreadPoolExecutor(3) as executor:
        assert run_toy(store, controller=controller, executor=executor, workers=3, trials=40) == "done"
    again = Recorded()
    store.replay(again)
    assert again.told == controller.told == store.told()
    assert again.ask(5) == controller.ask(5)
    trials = store.trials()
    assert sorted(trial.number for trial in store.told()) == list(range(len(trials)))
    assert len(evaluated(trials)) == 40


class Out(InlineExecutor):
    """Counts how many calls are running: its futures end, the last first, when there are `workers` of them."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers, self.waiting, self.most = workers, [], 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future: Future[Any] = Future()
        self.waiting.append((future, super().submit(fn, *args, **kwargs)))
        self.most = max(self.most, len(self.waiting))
        if len(self.waiting) == self.workers:
            outer, inner = self.waiting.pop()
            outer.set_exception(inner.exception()) if inner.exception() else outer.set_result(inner.result())
        return future


def test_keeps_every_worker_busy_and_stores_results_as_they_come(store: Store) -> None:
    on_trial, stop = stopping_after(5)
    executor = Out(3)

    def end_all() -> bool:
        if stop():
            for outer, _ in executor.waiting:
                outer.cancel()
                outer.set_running_or_notify_cancel()
            executor.waiting.clear()
            return True
        return False

    assert run_toy(store, executor=executor, workers=3, on_trial=on_trial, stop=end_all) == "interrupted"
    assert executor.most == 3
    assert [trial.number for trial in store.told()] == [2, 3, 4, 5, 6]
    assert [trial.number for trial in store.pending()] == [0, 1, 7][: len(store.trials()) - 5]
    assert run_toy(store) == "done"
    assert len(store.told()) == TRIALS


def test_what_was_pending_is_evaluated_with_its_own_budget_and_seed(store: Store) -> None:
    store.propose(Chain().ask(2), 1, 1)
    run_toy(store, evaluator=Toy(harmless=True), budget=100, seed=3)
    values = [trial.value for trial in store.trials()]
    assert all(value < 10 for value in values[:2])
    assert all(value > 100 for value in values[2:])


def test_stops_after_failures_in_a_row(store: Store) -> None:
    class Bad:
        def evaluate(self, *_: Any) -> Score:
            raise RuntimeError("no\nmemory")

    with pytest.raises(
        SearchError, match=r"^20 candidates failed in a row.*#19\) with RuntimeError: no memory; all are"
    ):
        run_toy(store, evaluator=Bad(), trials=50)
    assert [trial.error for trial in evaluated(store.told())] == ["RuntimeError: no memory"] * 20
    with pytest.raises(SearchError, match=r"^3 candidates"):
        run_toy(store, evaluator=Bad(), trials=50, max_failures_in_a_row=3)
    assert run_toy(store, evaluator=Toy(harmless=True), trials=50) == "done"
    assert len(evaluated(store.told())) == 50


def test_a_success_ends_a_row_of_failures(store: Store) -> None:
    calls = itertools.count(1)

    class Sometimes:
        def evaluate(self, *args: Any) -> Score:
            if next(calls) % 3:
                raise RuntimeError
            return Toy(harmless=True).evaluate(*args)

    assert run_toy(store, evaluator=Sometimes(), trials=30, max_failures_in_a_row=3) == "done"


@pytest.mark.parametrize(
    "result, error",
    [
        (Score(math.nan, 0.0), "NasError: the score is nan"),
        (Score(-math.inf, 0.0), "NasError: the score is -inf"),
        (Score(1.0, 0.0, curve=(math.inf,)), "ValueError: Out of range float values"),
        (Score(1.0, 0.0, metrics={"x": frozenset()}), "TypeError: Object of type frozenset"),
        (Score("high", 0.0), "TypeError: must be real number, not str"),
        (0.5, "NasError: the evaluator returned float; it must return a Score"),
        (None, "NasError: the evaluator returned NoneType"),
        (ValueError("a\n\x1b[31m\ud800"), "ValueError: a ?[31m?"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyError(), "KeyError"),
        (MemoryError("x" * 10_000), "MemoryError: xxx"),
    ],
    ids=repr,
)
def test_a_bad_result_is_a_failed_trial(result: object, error: str, store: Store) -> None:
    class Odd:
        def evaluate(self, *_: Any) -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

    told = Recorded()
    assert run_toy(store, evaluator=Odd(), controller=told, trials=1) == "done"
    (trial,) = store.trials()
    assert (trial.state, trial.score, trial.value) == ("failed", None, -math.inf)
    assert (trial.error or "").startswith(error)
    assert len(trial.error or "") <= 500
    assert told.told == [trial]


@pytest.mark.parametrize("make", [List, OneByOne])
def test_ends_when_the_controller_has_no_more(make: Any, store: Store) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert run_toy(store, controller=make(5), executor=executor, workers=2, trials=50) == "exhausted"
    assert [trial.architecture for trial in store.trials()] == list(enumerate_all(Bits()))[:5]
    assert run_toy(store, controller=make(5), trials=50) == "exhausted"
    assert run_toy(store, controller=make(5), trials=5) == "done"


def test_a_controller_that_waits_is_asked_again_only_after_a_result(store: Store) -> None:
    """The one candidate goes on until the loop has come round three times."""
    turns, asked, turned = itertools.count(), [], threading.Event()

    class Asked(OneByOne):
        def ask(self, n: int) -> list[Architecture]:
            asked.append(n)
            return super().ask(n)

    class Slow(Toy):
        def evaluate(self, *args: Any) -> Score:
            assert turned.wait(60)
            return super().evaluate(*args)

    def stop() -> bool:
        if next(turns) == 3:
            turned.set()
        return False

    with ThreadPoolExecutor(2) as executor:
        end = run_toy(store, controller=Asked(1), evaluator=Slow(), executor=executor, workers=2, stop=stop)
    assert (end, asked) == ("exhausted", [2, 2])


def test_a_proposal_must_be_of_its_space(store: Store) -> None:
    class Choosy(Bits):
        def decide(self, choose: Any) -> list[int]:
            bits = super().decide(choose)
            return choose.reject("no zeros") if 0 in bits else bits

    class Lost(Chain):
        def ask(self, n: int) -> list[Architecture]:
            return [Architecture("bits", {"bit0": 2})] * n

    class Raising(Chain):
        def ask(self, n: int) -> list[Architecture]:
            raise Rejected("nothing left")

    with pytest.raises(SearchError, match=r"does not allow: no zeros"):
        run_toy(store, space=Choosy())
    with pytest.raises(SearchError, match="nothing left"):
        run_toy(store, controller=Raising())
    with pytest.raises(SpaceError, match="bit0"):
        run_toy(store, controller=Lost())
    assert store.trials() == []


def test_does_not_continue_with_another_controller(store: Store) -> None:
    run_toy(store, trials=2)
    with pytest.raises(StoreError, match="cannot be continued"):
        run_toy(store, controller=Chain(seed=1))
    assert len(store.trials()) == 2


def test_seconds_are_those_of_the_given_clock(store: Store) -> None:
    run_toy(store, clock=itertools.count(0, 5).__next__, trials=3)
    assert [trial.seconds for trial in store.trials()] == [5.0] * 3


def child(path: Path, how: str, extra: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, helpers_search.__file__, str(path), how, extra]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check_invariant(path: Path, acknowledged: list[int]) -> None:
    """Every acknowledged trial is there, no number twice, the file whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with Store.open(path, readonly=True) as store:
        finished = [trial.number for trial in store.trials() if trial.state != "pending"]
    assert len(set(finished)) == len(finished)
    assert set(acknowledged) <= set(finished)
    assert len(set(acknowledged)) == len(acknowledged)


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("how", ["inline", "processes"])
def test_kill_9_after_any_acknowledgement(how: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    with child(path, how) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(count)]
        process.kill()
        acknowledged += map(int, process.stdout.read().split())
    check_invariant(path, acknowledged)
    with Store.open(path) as store:
        run_toy(store)
        if how == "inline":
            assert store.trials() == unbroken(tmp_path)
        assert sorted(trial.number for trial in store.told()) == list(range(len(store.trials())))
        assert len(evaluated(store.trials())) == TRIALS


def test_kill_9_at_every_kind_of_statement(tmp_path: Path) -> None:
    """One run, killed again and again before its statement number n, gets on, and ends as the unbroken one."""
    path = tmp_path / "trials.sqlite"
    Store.create(path, {}).close()
    acknowledged: list[int] = []
    for statement in range(2, 16):
        with child(path, "statement", str(statement)) as process:
            assert process.stdout is not None
            acknowledged += map(int, process.stdout.read().split())
        assert process.returncode == -signal.SIGKILL
        check_invariant(path, acknowledged)
    assert acknowledged
    with Store.open(path) as store, Store.create(tmp_path / "unbroken.sqlite", {}) as whole:
        assert store.promoted()
        assert len(evaluated(store.trials())) < len(store.trials())
        run_toy(store, **HALVES, **FEW, controller=Chain(AT_ONCE))
        run_toy(whole, **HALVES, **FEW, controller=Chain(AT_ONCE))
        assert store.trials() == whole.trials()
        assert store.told() == whole.told()


def test_workers_end_with_a_killed_master_in_the_middle_of_a_call(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with child(tmp_path / "trials.sqlite", "stuck", str(pipe)) as process:
        workers = read_numbers(pipe, 2)
        descriptors = [os.pidfd_open(worker) for worker in workers]
        process.kill()
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], 60)[0], "a worker outlived its master"
            os.close(descriptor)
    with Store.open(tmp_path / "trials.sqlite") as store:
        assert len(store.pending()) == 2
        run_toy(store)
        assert len(store.told()) == TRIALS


def test_candidates_that_kill_or_outstay_their_worker_are_failed_trials(store: Store) -> None:
    with ProcessExecutor(2, deadline_s=30) as executor:
        assert run_toy(store, evaluator=Deadly(), controller=List(TRIALS), executor=executor, workers=2) == "done"
    errors = [trial.error for trial in store.trials() if trial.state == "failed"]
    assert len(errors) == TRIALS / 2
    assert all("WorkerError: worker ended with exit status 0" in (error or "") for error in errors)


class Deadly(Toy):
    """Ends its process for every other architecture of the list."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        if architecture.picks["bit7"]:
            os._exit(0)
        return super().evaluate(architecture, budget, seed)
