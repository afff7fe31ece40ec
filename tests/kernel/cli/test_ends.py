"""Ends of a command: closed streams, a terminal that goes, signals, and a working directory or run that is removed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STREAMS = """
import os, sys
from nas.cli.streams import make_safe
make_safe()
opened = os.open(os.devnull, os.O_RDONLY)
sys.stdout.write("out"); sys.stdout.flush()
sys.stderr.write("progress\\n" * 10_000); sys.stderr.flush()
os._exit(0 if opened > 2 else 1)
"""
STOPPING = """
import os, signal, sys
from nas.runs.interrupts import stop_on_signal
with stop_on_signal(on_first=lambda: print("asked", flush=True), kill=lambda: print("killed", flush=True)) as stopped:
    for name in sys.argv[1].split():
        os.kill(os.getpid(), getattr(signal, name))
    print("stopped" if stopped() else "goes on", flush=True)
"""


def shell(command: str, folder: Path, script: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the shell, in which $PYTHON is the interpreter."""
    (folder / "script.py").write_text(script)
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", command, "bash", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(true)"])
def test_a_closed_or_full_stream_fails_no_command_and_gives_its_number_to_no_file(tmp_path, streams):
    ended = shell(f"exec $PYTHON script.py {streams}", tmp_path, STREAMS)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


def test_the_result_of_a_command_is_not_lost_with_its_messages(tmp_path):
    ended = shell("exec $PYTHON -m nas list spaces 2>&-", tmp_path)
    assert ended.returncode == 0
    assert "few-shot-cell" in ended.stdout


@pytest.mark.parametrize(
    ("signals", "status", "said"),
    [
        ("SIGHUP", 0, ["asked", "stopped"]),
        ("SIGHUP SIGHUP", 0, ["asked", "stopped"]),
        ("SIGTERM SIGHUP", 0, ["asked", "stopped"]),
        ("SIGHUP SIGTERM", 130, ["asked", "killed"]),
    ],
)
def test_a_terminal_that_is_closed_only_asks(tmp_path, signals, status, said):
    ended = shell('exec $PYTHON script.py "$1"', tmp_path, STOPPING, signals)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (status, said, "")


def test_under_nohup_a_closed_terminal_does_not_stop_a_run(tmp_path):
    ended = shell("exec nohup $PYTHON script.py SIGHUP", tmp_path, STOPPING)
    assert (ended.returncode, ended.stdout) == (0, "goes on\n")


def test_a_terminal_gets_its_cursor_back_where_a_second_signal_ends_the_process(tmp_path):
    (tmp_path / "script.py").write_text(STOPPING)
    ours, theirs = os.openpty()
    command = [sys.executable, "script.py", "SIGINT SIGINT"]
    ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, timeout=60)
    os.close(theirs)
    assert ended.returncode == 130
    assert os.read(ours, 1000).endswith(b"\x1b[?25h")
    os.close(ours)


@pytest.mark.parametrize("arguments", ["runs", "list spaces", "search quickstart"])
def test_in_a_deleted_working_directory_a_command_says_so_in_one_line(tmp_path, arguments):
    shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    ended = shell(f"mkdir gone; cd gone; rmdir ../gone; exec $PYTHON -m nas {arguments}", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        "nas: the working directory was deleted; change to another folder (cd) and repeat the command\n"
    )


def test_sigterm_ends_a_command_without_a_run_at_once(tmp_path):
    """Its default action is kept, which also ends a process that waits in a library."""
    script = (
        "import os, signal\nfrom nas.cli import commands\ncommands.app = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    ended = shell("exec $PYTHON script.py", tmp_path, f"{script}commands.main()\n")
    assert ended.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
