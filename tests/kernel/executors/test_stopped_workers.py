"""Workers on a machine that is stopped, or whose job is told to end: their candidates do not fail for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from nas.executors import ProcessExecutor

STOPPED = """
import os, time
from nas.executors import ProcessExecutor

if __name__ == "__main__":
    with ProcessExecutor(1, deadline_s=1.5) as executor:
        pid = executor.submit(os.getpid).result()
        future = executor.submit(time.sleep, 0.7)
        print(pid, flush=True)
        print("done" if future.exception() is None else future.exception(), flush=True)
"""


def send_self(number: int) -> str:
    os.kill(os.getpid(), number)
    return "goes on"


def test_the_time_in_which_a_machine_is_stopped_does_not_count_towards_a_deadline(tmp_path):
    (tmp_path / "script.py").write_text(STOPPED)
    master = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert master.stdout is not None
    worker = int(master.stdout.readline())
    for pid in (worker, master.pid):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2.5)
    for pid in (master.pid, worker):
        os.kill(pid, signal.SIGCONT)
    out, _ = master.communicate(timeout=60)
    assert out == "done\n"


def test_a_signal_that_ends_a_job_is_the_masters_alone():
    with ProcessExecutor(1) as executor:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            assert executor.submit(send_self, number).result() == "goes on"


def test_a_worker_can_be_started_after_the_working_directory_was_deleted(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        with ProcessExecutor(1) as executor:
            assert executor.submit(pow, 2, 3).result() == 8
    finally:
        os.chdir(tmp_path)
