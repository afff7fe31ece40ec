"""Worker processes of a study, of one thread each, and the progress of their calls."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..command_line import show_progress

T = TypeVar("T")


@contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` processes. After an error or Ctrl-C, calls that have not begun are dropped."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def finished(calls: Sequence[Future[T]], line: Callable[[T], str]) -> Iterator[Future[T]]:
    """The calls in the order in which they end, each with a line of progress about its result."""
    for number, call in enumerate(as_completed(calls), 1):
        show_progress(f"{number}/{len(calls)}: {line(call.result())}")
        yield call
