"""Isolation of calls: what one does to its process, its descriptors or its memory does not reach the next."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.misbehaviour import (
    Holding,
    change_what_can_be_undone,
    close_all,
    die,
    enter_mode,
    leave_process,
    leave_process_and_die,
    lower_priority,
    say,
    small,
    start_thread,
    surroundings,
    take,
    take_tensor,
    write_to_all,
)
from helpers.search import ended

from nas.errors import OutOfMemory, WorkerError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.executors.capped_output import HEAD_BYTES, TAIL_BYTES, CappedOutput, output_of
from nas.executors.limits import MemoryLimits, memory_limits
from nas.executors.retried_call import RetriedCall
from nas.failures import reason
from nas.provenance import memory_bytes


@pytest.fixture(scope="module")
def one() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(1, deadline_s=60, limits=MemoryLimits(2.0)) as executor:
        yield executor


def test_what_a_call_changes_is_undone(one: ProcessExecutor) -> None:
    before = [one.submit(surroundings).result() for _ in range(2)][1]  # The first imports torch.
    assert one.submit(change_what_can_be_undone).result() == before["process"]
    assert one.submit(surroundings).result() == before


@pytest.mark.parametrize("change", [lower_priority, start_thread, enter_mode, leave_process])
def test_a_process_in_which_a_change_cannot_be_undone_is_replaced(
    change: Callable[[], Any], one: ProcessExecutor
) -> None:
    changed = one.submit(change).result()
    assert one.submit(os.getpriority, os.PRIO_PROCESS, 0).result() == os.getpriority(os.PRIO_PROCESS, 0)
    for pid in changed if isinstance(changed, tuple) else (changed,):
        assert ended(pid)


def test_files_that_later_calls_leave_open_end_with_the_process(one: ProcessExecutor) -> None:
    holding = Holding()
    first, second, third = (one.submit(holding.hold).result() for _ in range(3))
    assert first == second != third


def test_what_a_call_started_ends_with_its_worker(one: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="SIGKILL"):
        one.submit(leave_process_and_die, str(tmp_path / "pid")).result()
    left = (tmp_path / "pid").read_text()
    assert not Path(f"/proc/{left}").exists()


@pytest.mark.parametrize(
    "fn, message", [(close_all, "status 75, since its connection was closed"), (write_to_all, "is damaged")]
)
def test_a_call_cannot_pass_for_its_own_answer(fn: Callable[[], None], message: str, one: ProcessExecutor) -> None:
    with pytest.raises(WorkerError, match=message):
        one.submit(fn).result()
    assert one.submit(abs, -1).result() == 1


@pytest.mark.parametrize("fn", [take, take_tensor])
def test_the_memory_of_a_worker_is_limited(fn: Callable[[float], int], one: ProcessExecutor) -> None:
    before = one.submit(os.getpid).result()
    assert one.submit(fn, 0.5).result() == 5e8
    with pytest.raises(OutOfMemory, match=r"^out of memory: (MemoryError|RuntimeError: .*can't allocate memory)"):
        one.submit(fn, 4.0).result()
    assert one.submit(os.getpid).result() == before


@pytest.mark.parametrize("first", [take, take_tensor, die])
def test_a_call_without_memory_is_made_once_more(
    first: Callable[[float], Any], one: ProcessExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    assert one.submit(RetriedCall(first, small), 4.0).result() == "small"
    error = one.submit(RetriedCall(first, first), 4.0).exception()
    assert isinstance(error, OutOfMemory | WorkerError)
    assert [record.levelname for record in caplog.records].count("WARNING") == 2


def test_other_failures_are_not_made_once_more(one: ProcessExecutor) -> None:
    with pytest.raises(WorkerError, match="exit status 3"):
        one.submit(RetriedCall(os._exit, small), 3).result()
    with pytest.raises(ValueError, match="invalid literal"):
        one.submit(RetriedCall(int, small), "x").result()
    with ProcessExecutor(1, deadline_s=0.2) as executor, pytest.raises(WorkerError, match="no answer"):
        executor.submit(RetriedCall(time.sleep, small), 100).result()


def test_a_killed_worker_is_replaced_within_a_second(one: ProcessExecutor) -> None:
    with pytest.raises(WorkerError):
        one.submit(die, 0.0).result()
    begin = time.monotonic()
    assert one.submit(time.monotonic).result() - begin < 1.0


def test_a_killed_supervisor_is_replaced_with_its_worker(one: ProcessExecutor) -> None:
    pid, supervisor = one.submit(os.getpid).result(), one.submit(os.getppid).result()
    os.kill(supervisor, signal.SIGKILL)
    assert ended(pid)
    assert one.submit(os.getppid).result() not in (supervisor, os.getpid())


def test_a_future_has_what_its_call_printed(one: ProcessExecutor) -> None:
    futures = [one.submit(say, 0), one.submit(abs, -1), one.submit(say, 3), one.submit(die, 0.0)]
    outputs = [(future.exception(), output_of(future))[1] for future in futures]
    assert outputs[0] == b"begin  end"
    assert outputs[1] == outputs[3] == b""
    assert outputs[2].startswith(b"begin xxx")
    assert outputs[2].endswith(b"xxx end")
    assert b"bytes left out" in outputs[2]
    assert len(outputs[2]) < HEAD_BYTES + TAIL_BYTES + 100


@pytest.mark.parametrize("sizes", [[10], [HEAD_BYTES, 1], [HEAD_BYTES + TAIL_BYTES], [1, HEAD_BYTES + TAIL_BYTES]])
def test_an_output_lacks_only_its_middle(sizes: list[int]) -> None:
    output, whole = CappedOutput(), random.Random(0).randbytes(sum(sizes))
    for i, size in enumerate(sizes):
        output.add(whole[sum(sizes[:i]) :][:size])
    left_out = max(0, len(whole) - HEAD_BYTES - TAIL_BYTES)
    note = f"\n[… {left_out} bytes left out …]\n".encode() if left_out else b""
    middle = HEAD_BYTES + left_out
    assert output.content() == whole[:HEAD_BYTES] + note + whole[middle:]


def test_limits_of_a_config() -> None:
    assert memory_limits("auto", 0.0).host_gb == pytest.approx(0.9e-9 * memory_bytes())
    assert memory_limits(0.0, 0.0) == MemoryLimits()
    assert memory_limits(3.0, 2.0) == MemoryLimits(3.0, 2.0)


def change_defaults() -> None:
    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)


def test_an_inline_call_leaves_folder_and_defaults_as_they_were() -> None:
    before = os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled()
    InlineExecutor().submit(change_defaults).result()
    assert (os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled()) == before


def raise_memory(_size: float) -> None:
    raise MemoryError("no room")


def test_an_inline_call_without_memory_is_made_once_more() -> None:
    assert InlineExecutor().submit(RetriedCall(raise_memory, small), 1.0).result() == "small"
    error = InlineExecutor().submit(RetriedCall(raise_memory, raise_memory), 1.0).exception()
    assert error is not None
    assert reason(error) == "OutOfMemory: out of memory: MemoryError: no room"


def test_descriptors_of_a_worker_do_not_grow(one: ProcessExecutor) -> None:
    counts = {len(one.submit(os.listdir, "/proc/self/fd").result()) for _ in range(3)}
    with pytest.raises(WorkerError):
        one.submit(die, 0.0).result()
    assert {len(one.submit(os.listdir, "/proc/self/fd").result())} == counts
