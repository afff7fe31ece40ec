"""Process that starts a worker, ends it with all that it started, and ends when the master does.

It imports what a call needs and forks the worker, so that a worker that was ended is replaced within milliseconds. On
Linux it is the reaper of all orphans below it: what a candidate started cannot outlive its worker, also in a session
of its own. No code of a candidate runs in it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..failures import attempt
from .channel import Channel
from .limits import limit_memory
from .worker_main import serve

PDEATHSIG, CHILD_SUBREAPER = 1, 36
"""Numbers of the options of Linux's prctl: the signal to a process when its parent ends, and reaping of orphans."""
KNOWN = ("nas.", "torch")
"""What the names of modules begin with that are imported before a worker is forked: they start no threads."""
REAP_S = 0.002
"""Time between two looks whether the processes that were killed have ended, in seconds."""
MESSAGE_BYTES = 1 << 16


@dataclass(frozen=True)
class Order:
    """What the master tells a supervisor as JSON: with a socket to start a worker that serves it, else to end it.

    Attributes:
        token: Token of the worker's channel in hexadecimal digits.
        modules: Modules that the worker will need.
        host_gb: Limit of its memory in GB.
    """

    token: str = ""
    modules: tuple[str, ...] = ()
    host_gb: float = float("inf")


def supervise(descriptor: int, master: int) -> None:
    """Carries out orders until the master closes the socket or ends; each is answered with the end of a worker.

    An answer is a line with the worker's exit code, negative for a signal. It is sent when the worker has ended and
    all that it started.

    Args:
        descriptor: Descriptor of the socket to the master.
        master: The master's process number.
    """
    _prctl(CHILD_SUBREAPER, 1)
    # Until there is a worker this process may be killed, so that a master that ends during an import is noticed.
    _prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master:
        return
    control = socket.socket(fileno=descriptor)
    control.setblocking(False)
    wakeup, children = _child_signals()
    worker = 0
    while True:
        _wait(control, wakeup)
        code = _reap(worker)
        if worker and code is not None:
            _end_all(worker)
            worker = 0
            _prctl(PDEATHSIG, signal.SIGKILL)
            with suppress(OSError):  # a master that has ended
                control.sendall(b"%d\n" % code)
        try:
            received = _order(control)
        except (EOFError, OSError):
            _end_all(worker)
            return
        if received is None:
            continue
        order, theirs = received
        if theirs is not None:
            for module in order.modules:
                if module.startswith(KNOWN) and module not in sys.modules:
                    attempt(importlib.import_module, module)
            gc.freeze()  # Otherwise a collection in the worker would copy all pages that both share.
            worker = _fork(order, theirs, [control, wakeup, children])
            _prctl(PDEATHSIG, 0)
        elif worker:
            os.kill(worker, signal.SIGKILL)


def _child_signals() -> tuple[socket.socket, socket.socket]:
    """A socket that can be read when a child has ended, and the one that the signal is written to."""
    wakeup, children = socket.socketpair()
    wakeup.setblocking(False)
    children.setblocking(False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(children.fileno(), warn_on_full_buffer=False)
    return wakeup, children


def _wait(control: socket.socket, wakeup: socket.socket) -> None:
    """Waits until the master has sent something or a child has ended."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    poll.poll()
    with suppress(BlockingIOError):
        wakeup.recv(MESSAGE_BYTES)


def _order(control: socket.socket) -> tuple[Order, socket.socket | None] | None:
    """The next order, with the socket of a worker that it starts; None where there is none.

    Raises:
        EOFError: The master has closed the socket.
        OSError: It has ended.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
    except BlockingIOError:
        return None
    while not data.endswith(b"\n"):
        select.select([control], [], [])
        more = control.recv(MESSAGE_BYTES)
        if not more:
            raise EOFError
        data += more
    order = Order(**json.loads(data.splitlines()[-1]))
    return order, socket.socket(fileno=descriptors[0]) if descriptors else None


def _fork(order: Order, theirs: socket.socket, own: list[socket.socket]) -> int:
    """Starts a worker and returns its process number."""
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_worker(order, theirs, own, supervisor)
    theirs.close()
    return pid


def _be_worker(order: Order, theirs: socket.socket, own: list[socket.socket], supervisor: int) -> NoReturn:
    """Turns the forked process into a worker: a session of its own, with nothing of the supervisor's, until it ends."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in own:
            each.close()
        os.setsid()
        _prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() == supervisor:
            limit_memory(order.host_gb)
            serve(Channel(theirs, bytes.fromhex(order.token)))
            code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        with suppress(OSError, ValueError, AttributeError):  # what ran may have closed or replaced them
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reap(worker: int) -> int | None:
    """Takes notice of all children that have ended; the exit code of the worker where it is among them."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == worker:
                code = os.waitstatus_to_exitcode(status)
    return code


def _end_all(worker: int) -> None:
    """Ends all processes below this one. Children of those that end become this process's, and are ended next.

    Args:
        worker: Leader of the worker's process group, which is all that other systems than Linux know of; 0 for none.
    """
    while True:
        if worker:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(worker, signal.SIGKILL)
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(REAP_S)


def _children() -> list[int]:
    """The children of this process, where the system tells them."""
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _prctl(option: int, value: int) -> None:
    """Sets an attribute of this process on Linux; nothing on other systems."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(option, value, 0, 0, 0)
