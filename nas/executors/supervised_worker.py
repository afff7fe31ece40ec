"""A worker process and its supervisor, as the master sees them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .channel import Channel, new_token

BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; from nas.executors.supervisor import supervise; "
    "supervise(int(sys.argv[1]), int(sys.argv[2]))"
)
"""Program of a supervisor; its arguments are the descriptor of its socket, its master's process number and the entries
of `sys.path`."""
END_S = 10.0
"""Longest time for a supervisor to end all processes below it, in seconds; after that it is killed itself."""


class SupervisedWorker:
    """A supervisor, which starts at once, and the one worker at a time that it starts and ends.

    Args:
        environment: Environment variables of both, added to those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair()
        path = [entry for entry in sys.path if isinstance(entry, str)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", BOOT, str(theirs.fileno()), str(os.getpid()), *path],
                env={**os.environ, **environment},
                cwd=_working_directory(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self.output = self._process.stdout.fileno()

    def fileno(self) -> int:
        """Descriptor that can be read when the worker has ended, with all that it started."""
        return self._control.fileno()

    def start(self, modules: Sequence[str], host_gb: float) -> Channel:
        """Starts a worker, where none runs, and returns the channel to it. Its failure is seen at the channel.

        Args:
            modules: Modules that the worker will need.
            host_gb: Limit of its memory in GB; inf for none.
        """
        ours, theirs = socket.socketpair()
        token = new_token()
        order = {"token": token.hex(), "modules": list(modules), "host_gb": host_gb}
        with theirs, suppress(OSError):  # of a supervisor that has ended, which the channel's end tells
            socket.send_fds(self._control, [json.dumps(order).encode() + b"\n"], [theirs.fileno()])
        return Channel(ours, token)

    def end(self) -> int | None:
        """Ends the worker and all that it started, and returns its exit code; None where the supervisor has ended."""
        with suppress(OSError):
            self._control.sendall(b"{}\n")
        code = None
        self._control.settimeout(END_S)
        with suppress(OSError):
            answer = self._control.recv(100)
            code = int(answer) if answer else None
        self._control.settimeout(None)
        return code

    def disconnect(self) -> None:
        """Has the supervisor end the worker, all that it started, and itself, without waiting. May be called from any
        thread and from signal handlers."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def close(self) -> int:
        """Ends both, frees their resources here, and returns the supervisor's exit code."""
        self.disconnect()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._control.close()
        return self._process.returncode


def _working_directory() -> str | None:
    """The working directory of a new worker: None for this process's, or `/` where that was deleted, since torch cannot
    be loaded in none."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "/"
    return None
