"""A person's own executors: what has `submit` runs a search, and stays its owner's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from helpers.launch import own_runs, result, toy  # noqa: F401  # fixtures

from nas.errors import ConfigError
from nas.executors import ExecutorAdapter
from nas.executors.polled_jobs import PolledJobs
from nas.runs import folder, launch
from nas.runs.progress import Silence


class PolledJob:
    """A job like submitit's: done after some looks."""

    def __init__(self, outcome, looks=2):
        self.outcome, self.looks, self.cancelled = outcome, looks, False

    def done(self):
        self.looks -= 1
        return self.looks < 0

    def result(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def cancel(self):
        self.cancelled = True


class Polled:
    """An executor like submitit's, which makes the call and says so later."""

    def submit(self, fn, *args, **kwargs):
        try:
            return PolledJob(fn(*args, **kwargs))
        except Exception as error:
            return PolledJob(error)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr("nas.executors.polled_jobs.POLL_S", 0.001)


@pytest.mark.parametrize("kind", ["threads", "polled"])
def test_a_run_in_it_is_that_of_worker_processes_and_it_stays_open(kind):
    own = ThreadPoolExecutor(1) if kind == "threads" else Polled()
    runs = []
    for name, executor in (("usual", None), ("own", own)):
        run = folder.new_run(name, "toy")
        launch.start(toy(), run, Silence(), executor)
        runs.append(result(run))
    assert runs[0] == runs[1]
    assert own.submit(len, "open").result() == 4


def test_its_number_of_workers_must_be_said():
    with pytest.raises(
        ConfigError, match=r"search\.workers is 'auto', and how many calls ThreadPoolExecutor runs at a"
    ):
        launch.start(toy(search={"workers": "auto"}), folder.new_run("a", "toy"), Silence(), ThreadPoolExecutor(1))
    assert not folder.new_run("a", "toy").folder.exists()


def test_what_has_no_submit_is_refused():
    with pytest.raises(ConfigError, match=r"executor is int; give a concurrent\.futures\.Executor, or what has its"):
        ExecutorAdapter(3, 1)


def test_kill_cancels_what_waits_and_jobs_that_run():
    started, go_on = threading.Event(), threading.Event()

    def held():
        started.set()
        go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        adapter = ExecutorAdapter(pool, 1)
        running, waiting = adapter.submit(held), adapter.submit(len, "a")
        started.wait(10)
        adapter.kill()
        assert waiting.cancelled()
        go_on.set()
        assert running.result() is None
    with pytest.raises(RuntimeError, match="shut down"):
        adapter.submit(len, "a")
    jobs, job = PolledJobs(), PolledJob(None, looks=10**9)
    future = jobs.future(job)
    jobs.cancel()
    assert job.cancelled
    with pytest.raises(CancelledError):
        future.result()


def test_jobs_that_are_polled_give_results_and_errors_in_any_order():
    jobs = PolledJobs()
    slow, quick, failed = PolledJob(1, looks=50), PolledJob(2, looks=0), PolledJob(ValueError("no"))
    futures = [jobs.future(job) for job in (slow, quick, failed)]
    assert futures[1].result(5) == 2
    assert futures[0].result(5) == 1
    assert isinstance(futures[2].exception(5), ValueError)
    time.sleep(0.01)
    assert jobs.future(PolledJob(3)).result(5) == 3, "a later job is looked at too"
