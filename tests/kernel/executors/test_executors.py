"""Executors: they survive whatever their calls do, and leave nothing behind."""

from __future__ import annotations

import concurrent.futures
import ctypes
import itertools
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from pathlib import Path
from typing import Any

import pytest
from helpers.search import ended, read_numbers

from nas.errors import ConfigError, WorkerError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.failures import attempt, reason


class Unreadable(Exception):
    """Can be pickled, but not read back."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code} {why}")


class Unpicklable(Exception):
    """Holds what no pickle can."""

    def __init__(self) -> None:
        super().__init__("held", threading.Lock())


class Counter:
    """Says how often this very object was called, and in which process."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self, problem: bool = False) -> tuple[int, int]:
        self.calls += 1
        if problem:
            raise ValueError("counted wrongly")
        return self.calls, os.getpid()


def hang(pipe: str) -> None:
    Path(pipe).write_text(f"{os.getpid()}\n")
    threading.Event().wait()


def say_and_read(begun: Path, end: Path) -> str:
    begun.write_text("begun")
    return end.read_text()


def hang_with_child(pipe: str) -> None:
    """A forked child keeps all that its parent had open."""
    if os.fork() == 0:
        hang(pipe)
    os._exit(3)


def raise_it(error: BaseException) -> None:
    raise error


def raise_unreadable() -> None:
    raise Unreadable(4, why="odd")


def raise_unpicklable() -> None:
    raise Unpicklable


def lock() -> object:
    return threading.Lock()


def kill_self(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait()


def say_and_abort(size: int) -> None:
    os.write(1, b"x" * size + b"\n")
    os.write(2, b"terminate called: no memory on the device\n")
    os.abort()


def interrupt_self() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "alive"


def surroundings() -> dict[str, Any]:
    return {
        "environment": dict(os.environ),
        "group": os.getpgid(0) == os.getpid() == os.getsid(0),
        "input": sys.stdin.read(),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
        "torch": "torch" in sys.modules,
    }


@pytest.fixture(scope="module")
def two() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(2, deadline_s=120) as executor:
        yield executor


@pytest.fixture(scope="module")
def one() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(1, deadline_s=120) as executor:
        yield executor


@pytest.fixture(params=["inline", "processes"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return InlineExecutor() if request.param == "inline" else request.getfixturevalue("two")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def children() -> list[str]:
    """The processes that this one started and has not reaped."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        text = attempt(status.read_text).value  # None where the process has ended meanwhile
        if text is not None and f"\nPPid:\t{os.getpid()}\n" in text:
            found.append(status.parent.name)
    return sorted(found)


def test_is_an_executor(executor: Executor) -> None:
    assert executor.submit(divmod, 17, 5).result() == (3, 2)
    assert executor.submit(int, "ff", base=16).result() == 255
    futures = [executor.submit(pow, 2, i) for i in range(50)]
    assert concurrent.futures.wait(futures).not_done == set()
    assert [future.result() for future in futures] == [2**i for i in range(50)]
    assert list(executor.map(abs, [-1, 2])) == [1, 2]


def test_a_future_has_what_its_call_raised(executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = executor.submit(raise_it, ValueError("no", 5)).exception()
    assert type(error) is ValueError
    assert error.args == ("no", 5)
    assert "in raise_it" in caplog.text
    assert "ValueError: ('no', 5)" in caplog.text
    assert executor.submit(abs, -1).result() == 1


@pytest.mark.parametrize("make", [InlineExecutor, lambda: ProcessExecutor(1)])
def test_takes_nothing_after_shutdown(make: Callable[[], Executor]) -> None:
    with make() as executor:
        future = executor.submit(abs, -1)
    assert future.result() == 1
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, -1)


def test_an_interrupt_ends_an_inline_call() -> None:
    with pytest.raises(KeyboardInterrupt):
        InlineExecutor().submit(raise_it, KeyboardInterrupt())


@pytest.mark.parametrize(
    "fn, message",
    [
        (raise_unreadable, "Unreadable: 4 odd"),
        (raise_unpicklable, r"Unpicklable: \('held', <unlocked _thread.lock"),
        (lock, "TypeError: cannot pickle '_thread.lock' object"),
        (exit, "SystemExit: None"),
    ],
)
def test_what_cannot_travel_is_told(fn: Callable[[], object], message: str, one: ProcessExecutor) -> None:
    with pytest.raises((WorkerError, TypeError)) as caught:
        one.submit(fn).result()
    assert re.match(message, reason(caught.value).removeprefix("WorkerError: "))
    assert one.submit(abs, -1).result() == 1


def test_a_call_that_cannot_be_pickled_is_refused(one: ProcessExecutor) -> None:
    with pytest.raises(ConfigError, match="cannot be sent to a worker process"):
        one.submit(lambda: 1)
    with pytest.raises(ConfigError, match="top of a module"):
        one.submit(abs, threading.Lock())


@pytest.mark.parametrize(
    "fn, argument, message",
    [
        (os._exit, 0, r"worker ended with exit status 0$"),
        (os._exit, 3, r"worker ended with exit status 3$"),
        (kill_self, signal.SIGKILL, r"signal 9 \(SIGKILL, as when memory runs out\)$"),
        (kill_self, signal.SIGUSR1, r"signal 10 \(SIGUSR1\)$"),
        (ctypes.string_at, 0, r"signal 11 \(SIGSEGV\)$"),
        (say_and_abort, 10, r"signal 6 \(SIGABRT\); the last it printed: 'terminate called: no memory on the device'$"),
        (say_and_abort, 20_000_000, r"'terminate called: no memory on the device'$"),
        (raise_it, KeyboardInterrupt(), r"worker ended with .*'KeyboardInterrupt'$"),
    ],
)
def test_a_dead_worker_is_told_and_replaced(
    fn: Callable[..., object], argument: object, message: str, one: ProcessExecutor
) -> None:
    before = one.submit(os.getpid).result()
    deadly, harmless = one.submit(fn, argument), one.submit(os.getpid)
    with pytest.raises(WorkerError, match=message):
        deadly.result()
    assert harmless.result() not in (before, os.getpid())
    assert ended(before)


def test_only_the_dead_workers_call_fails(two: ProcessExecutor) -> None:
    futures = [two.submit(os._exit, 1) if i % 3 == 0 else two.submit(abs, -i) for i in range(12)]
    for i, future in enumerate(futures):
        assert isinstance(future.exception(), WorkerError) if i % 3 == 0 else future.result() == i


def test_a_worker_that_died_between_calls_is_replaced_unnoticed(one: ProcessExecutor) -> None:
    pid = one.submit(os.getpid).result()
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    assert one.submit(os.getpid).result() != pid


def test_a_call_past_its_deadline_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ProcessExecutor(1, deadline_s=0.5) as executor:
        reader = os.open(pipe, os.O_RDWR)
        late = executor.submit(hang, str(pipe))
        with pytest.raises(WorkerError, match=r"no answer after 0\.5 s"):
            late.result()
        os.set_blocking(reader, False)
        written = attempt(os.read, reader, 100).value  # on a busy machine it may have been ended before it wrote
        os.close(reader)
        assert written is None or ended(int(written))
        assert executor.submit(abs, -1).result() == 1


class SlowToLoad:
    """Takes longer to unpickle than the deadline of the test."""

    def __setstate__(self, state: object) -> None:
        threading.Event().wait(1.0)

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def value(self) -> int:
        return 7


def test_the_start_of_a_worker_and_its_imports_do_not_count_to_the_deadline() -> None:
    with ProcessExecutor(1, deadline_s=0.5) as executor:
        assert executor.submit(SlowToLoad().value).result() == 7


def test_a_deadline_that_is_changed_holds_for_later_calls() -> None:
    with ProcessExecutor(1, deadline_s=100) as executor:
        executor.submit(abs, -1).result()
        executor.deadline_s = 0.2
        with pytest.raises(WorkerError, match=r"no answer after 0\.2 s"):
            executor.submit(signal.pause).result()


def test_a_dead_worker_whose_child_lives_is_seen(one: ProcessExecutor, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    with pytest.raises(WorkerError, match="exit status 3"):
        one.submit(hang_with_child, str(pipe)).result()
    os.set_blocking(reader, False)
    written = attempt(os.read, reader, 100).value  # the child may have been ended before it wrote
    os.close(reader)
    assert written is None or ended(int(written))


def test_a_worker_keeps_the_function_it_was_just_sent(one: ProcessExecutor) -> None:
    counter = Counter()
    calls = [one.submit(counter.count).result() for _ in range(3)]
    assert [number for number, _ in calls] == [1, 2, 3]
    assert len({pid for _, pid in calls}) == 1
    assert isinstance(one.submit(counter.count, problem=True).exception(), ValueError)
    assert one.submit(counter.count).result()[0] == 1
    assert one.submit(abs, -1).result() == 1
    assert one.submit(counter.count).result()[0] == 1
    assert counter.calls == 0


def test_a_worker_stands_apart(one: ProcessExecutor) -> None:
    found = one.submit(surroundings).result()
    assert found["group"]
    assert found["input"] == ""
    assert not found["torch"]
    assert {found["environment"][name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} == {"1"}
    assert one.submit(interrupt_self).result() == "alive"


def test_workers_hold_nothing_of_each_other() -> None:
    with ProcessExecutor(3) as executor:
        barrier = [executor.submit(surroundings) for _ in range(9)]
        counts = {len(future.result()["descriptors"]) for future in barrier}
    assert counts == {5}  # standard ones, the socket, and the listing itself


def test_each_worker_has_its_environment() -> None:
    environments = [{"SLOT": "a", "OMP_NUM_THREADS": "2"}, {"SLOT": "b"}]
    with ProcessExecutor(2, environments=environments) as executor:
        seen: set[tuple[str, str]] = set()
        while len(seen) < 2:
            found = executor.submit(surroundings).result()["environment"]
            seen.add((found["SLOT"], found["OMP_NUM_THREADS"]))
    assert seen == {("a", "2"), ("b", "1")}
    assert "SLOT" not in os.environ


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2, "environments": [{}]}, {"deadline_s": 0.0}])
def test_refuses_odd_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ProcessExecutor(**{"workers": 1, **options})


def test_leaves_no_process_and_no_descriptor() -> None:
    before = descriptors(), children(), threading.active_count()
    with ProcessExecutor(2, deadline_s=60) as executor:
        for fn, arguments in itertools.islice(itertools.cycle([(os._exit, (1,)), (abs, (-1,)), (lock, ())]), 24):
            executor.submit(fn, *arguments)
    assert (descriptors(), children(), threading.active_count()) == before


def test_shutdown_can_cancel_what_waits(tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    os.mkfifo(begun)
    os.mkfifo(end)
    executor = ProcessExecutor(1)
    running, waiting = executor.submit(say_and_read, begun, end), [executor.submit(abs, -1) for _ in range(3)]
    assert begun.read_text() == "begun"
    executor.shutdown(wait=False, cancel_futures=True)
    assert concurrent.futures.wait(waiting, timeout=60).not_done == set()
    assert all(future.cancelled() for future in waiting)
    end.write_text("read")
    executor.shutdown()
    assert running.result() == "read"


@pytest.mark.parametrize("by_error", [False, True])
def test_kill_ends_all_at_once(by_error: bool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = children()
    executor = ProcessExecutor(2)
    futures = [executor.submit(hang, str(pipe)) for _ in range(5)]
    assert len(read_numbers(pipe, 2)) == 2
    if by_error:
        with pytest.raises(ZeroDivisionError), executor:
            _ = 1 / 0
    else:
        executor.kill()
        executor.shutdown()
    assert concurrent.futures.wait(futures, timeout=60).not_done == set()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result()
    assert children() == before
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, 1)


def test_reasons_are_one_printable_line() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert reason(ValueError(" a\n\tb ")) == "ValueError: a b"
    assert reason(KeyError()) == "KeyError"
    assert reason(Silent()) == "Silent: (it has no message)"
    assert len(reason(ValueError("x" * 1000))) == 500
