"""Search loop: no acknowledged result is lost, and a resumed run equals an unbroken one."""

from __future__ import annotations

import errno
import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.loop import CONTROLLERS, Recorded, new_store, stopping_after, unbroken  # noqa: F401  # fixture
from helpers.search import AT_ONCE, FEW, HALVES, TRIALS, Bits, Chain, List, OneByOne, Toy, run_toy

from nas.architecture import Architecture
from nas.errors import Rejected, SearchError, SpaceError, StoreError
from nas.executors import InlineExecutor
from nas.search.options import FaultVerdict
from nas.space import enumerate_all
from nas.store import Store
from nas.trial import Score, Trial, without_duplicates


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


def test_a_longer_run_begins_with_the_shorter_one(tmp_path: Path, store: Store) -> None:
    expected = unbroken(tmp_path)
    assert run_toy(store, trials=3) == "done"
    assert run_toy(store, trials=2) == "done"
    assert store.trials() == expected[:3]
    run_toy(store)
    assert store.trials() == expected


@pytest.mark.parametrize("where", ["propose", "propose_duplicate", "promote", "finish", "tell", "on_trial"])
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
        def stepping(*args: Any, **options: Any) -> Any:
            result = step(*args, **options)
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
    assert len(without_duplicates(trials)) == 40


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
    assert [trial.error for trial in without_duplicates(store.told())] == ["RuntimeError: no memory"] * 20
    with pytest.raises(SearchError, match=r"^3 candidates"):
        run_toy(store, evaluator=Bad(), trials=50, max_failures_in_a_row=3)
    assert run_toy(store, evaluator=Toy(harmless=True), trials=50) == "done"
    assert len(without_duplicates(store.told())) == 50


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
        (MemoryError("x" * 10_000), "OutOfMemory: out of memory: MemoryError: xxx"),
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


class FullDisk(Toy):
    """A toy whose `count`-th evaluation finds the disk full."""

    def __init__(self, count: int, number: int = errno.ENOSPC) -> None:
        super().__init__()
        self.left, self.number = count, number

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        self.left -= 1
        if self.left == 0:
            raise OSError(self.number, os.strerror(self.number))
        return super().evaluate(architecture, budget, seed)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_an_error_of_the_machine_is_no_failure_of_a_candidate(tmp_path: Path, store: Store, number: int) -> None:
    faults: list[BaseException] = []

    def stop(_trial: Trial, error: BaseException) -> FaultVerdict:
        faults.append(error)
        return "stop"

    assert run_toy(store, evaluator=FullDisk(3, number), on_machine_fault=stop) == "interrupted"
    assert [error.errno for error in faults if isinstance(error, OSError)] == [number]
    assert len(store.pending()) == 1
    assert run_toy(store) == "done"
    assert store.trials() == unbroken(tmp_path)


def test_another_error_of_the_system_is_the_candidates(store: Store) -> None:
    assert run_toy(store, evaluator=FullDisk(3, errno.ENOENT)) == "done"
    assert any("No such file" in (trial.error or "") for trial in store.trials())


def test_an_error_of_the_machine_is_logged_where_nobody_listens(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    run_toy(store, evaluator=FullDisk(1))
    assert "No space left on device" in caplog.text
