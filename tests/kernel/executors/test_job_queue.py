"""Queue of several takers: no job is lost or taken twice, and it is finished when all are done."""

from __future__ import annotations

import threading
import time

from nas.executors.job_queue import JobQueue


def test_jobs_come_in_order_and_one_that_was_given_back_comes_first():
    jobs: JobQueue[int] = JobQueue()
    for job in range(3):
        jobs.put(job)
    assert (jobs.take(), jobs.take()) == (0, 1)
    jobs.give_back(0)
    assert (jobs.take(), jobs.take(), jobs.take()) == (0, 2, None)


def test_it_is_finished_when_closed_and_all_that_were_taken_are_done():
    jobs: JobQueue[int] = JobQueue()
    jobs.put(1)
    assert jobs.has_job()
    jobs.take()
    jobs.close()
    assert not jobs.finished
    assert not jobs.has_job(0.01)
    jobs.give_back(1)
    assert jobs.take() == 1
    jobs.done()
    assert jobs.finished
    assert not jobs.has_job(), "a finished queue does not wait"


def test_who_waits_hears_of_a_job_and_of_the_end():
    jobs: JobQueue[int] = JobQueue()
    heard: list[bool] = []

    def wait() -> None:
        heard.append(jobs.has_job())
        jobs.take()
        jobs.done()
        heard.append(jobs.has_job())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    assert heard == []
    jobs.put(1)
    jobs.close()
    thread.join(5)
    assert heard == [True, False]


def test_what_is_cleared_is_no_longer_waited_for():
    jobs: JobQueue[int] = JobQueue()
    jobs.put(1)
    jobs.close()
    assert jobs.clear() == [1]
    assert jobs.finished
