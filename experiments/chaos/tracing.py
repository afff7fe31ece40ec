"""Processes forked from this one and stopped before each system call that writes (Linux on x86-64).

A filter of the kernel (seccomp) stops the process at these calls alone, so that all others run at full speed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass

from nas.failures import attempt, reason

WRITES = {
    "write": 1,
    "open": 2,
    "pwrite64": 18,
    "writev": 20,
    "sendfile": 40,
    "fsync": 74,
    "fdatasync": 75,
    "truncate": 76,
    "ftruncate": 77,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "openat": 257,
    "mkdirat": 258,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "fallocate": 285,
    "pwritev": 296,
    "renameat2": 316,
    "copy_file_range": 326,
}
"""Numbers of the system calls that may change a file or a folder, by name."""
NAMES = {number: name for name, number in WRITES.items()}
OPENS = {"open": 1, "openat": 2}
"""Place of the flags among the arguments of the calls that only write where they create or cut a file."""
TRACE_ME, CONTINUE, SET_OPTIONS, SYSCALL_INFO = 0, 7, 0x4200, 0x420E
TRACE_SECCOMP, EXIT_KILL = 0x80, 0x100000
SECCOMP_STOP = 7
NO_NEW_PRIVILEGES, SET_SECCOMP, SECCOMP_FILTER = 38, 22, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_TRACE, RETURN_ALLOW = 0x7FF00000, 0x7FFF0000
PATH_BYTES = 4096
Body = Callable[[Callable[[bytes], None]], None]
"""What a forked process does; it is given a function that sends bytes to this process."""


@dataclass(frozen=True)
class Call:
    """A system call that a traced process is about to make.

    Attributes:
        pid: The process.
        name: Name of the call.
        arguments: Its six arguments as whole numbers.
    """

    pid: int
    name: str
    arguments: tuple[int, ...]

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of the process's memory."""
        descriptor = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        try:
            return os.pread(descriptor, size, address)
        finally:
            os.close(descriptor)

    def path(self, argument: int) -> str:
        """The path to which an argument points."""
        address = self.arguments[argument]
        data = b""
        while b"\0" not in data and len(data) < PATH_BYTES:  # The next page need not be readable.
            data += self.memory(address + len(data), 4096 - (address + len(data)) % 4096)
        return os.fsdecode(data.partition(b"\0")[0])

    def file(self) -> str:
        """The path of the open file that the first argument names."""
        return os.readlink(f"/proc/{self.pid}/fd/{self.arguments[0]}")

    @property
    def writes(self) -> bool:
        """Whether it may change a file: to open one for reading does not."""
        if self.name not in OPENS:
            return True
        return bool(self.arguments[OPENS[self.name]] & (os.O_CREAT | os.O_TRUNC))


@dataclass(frozen=True)
class Ended:
    """A forked process that has ended.

    Attributes:
        said: The bytes that it sent.
        status: Its exit status; the negative number of the signal that ended it.
        calls: Number of system calls that write at which it was stopped.
    """

    said: bytes
    status: int
    calls: int = 0

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


@dataclass(frozen=True)
class Forked:
    """A process forked from this one.

    Attributes:
        pid: Its number.
        pipe: Descriptor from which its bytes are read.
    """

    pid: int
    pipe: int

    def kill(self) -> None:
        """Kills it, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int | None = None, calls: int = 0) -> Ended:
        """Waits for its end; `status` is given where that was waited for already."""
        said = b""
        while part := os.read(self.pipe, 65536):
            said += part
        os.close(self.pipe)
        if status is None:
            _, status = os.waitpid(self.pid, 0)
        return Ended(said, os.waitstatus_to_exitcode(status), calls)


def fork(body: Body, *, traced: bool = False) -> Forked:
    """Starts a process that does `body` and ends, with its error in a line where it raises one and status 1."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Forked(pid, reading)
    try:
        os.close(reading)
        if traced:
            _let_be_traced()
        outcome = attempt(body, lambda data: _write_all(writing, data))
        if outcome.error is not None:
            _write_all(writing, reason(outcome.error).encode())
        os._exit(0 if outcome.error is None else 1)
    finally:
        os._exit(1)


def follow(body: Body, before: Callable[[Call], bool]) -> Ended:
    """Forks a process, and stops it before each system call that writes.

    Args:
        body: What the process does.
        before: Called with each such call; where it returns True, the process is killed before the call is made.
    """
    forked, calls = fork(body, traced=True), 0
    while True:
        _, status = os.waitpid(forked.pid, 0)
        if not os.WIFSTOPPED(status):
            return forked.ended(status, calls)
        passed = 0
        if status >> 8 == signal.SIGTRAP | SECCOMP_STOP << 8:
            call = _call(forked.pid)
            if call.writes:
                calls += 1
                if before(call):
                    os.kill(forked.pid, signal.SIGKILL)
                    continue
        elif os.WSTOPSIG(status) == signal.SIGSTOP:
            _ptrace(SET_OPTIONS, forked.pid, 0, TRACE_SECCOMP | EXIT_KILL)
        else:
            passed = os.WSTOPSIG(status)
        _ptrace(CONTINUE, forked.pid, 0, passed)


def why_not() -> str:
    """Why processes cannot be followed here; empty where they can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return (
            f"system calls are followed on Linux on x86-64 only, and this is {platform.system()} {platform.machine()}"
        )
    try:
        ended = follow(lambda send: send(b"1\n"), lambda call: call.name != "write")
    except OSError as error:
        return f"ptrace is not permitted ({error.strerror})"
    if (ended.status, ended.calls) != (0, 1):
        return "ptrace and seccomp are not permitted"
    return ""


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    return libc


LIBC = _libc() if platform.system() == "Linux" else None


def _ptrace(request: int, pid: int, address: int | None, data: object) -> int:
    assert LIBC is not None
    result = int(LIBC.ptrace(request, pid, address, data))
    if result < 0:
        number = ctypes.get_errno()
        if number == 3:  # ESRCH: the process was killed meanwhile, which the next wait tells.
            return 0
        raise OSError(number, os.strerror(number))
    return result


def _call(pid: int) -> Call:
    buffer = ctypes.create_string_buffer(96)
    _ptrace(SYSCALL_INFO, pid, len(buffer), ctypes.cast(buffer, ctypes.c_void_p))
    number, *arguments = struct.unpack_from("=7Q", buffer.raw, 24)
    return Call(pid, NAMES.get(number, str(number)), tuple(arguments))


def _let_be_traced() -> None:
    """Has the kernel stop this process, whose parent follows it, before each system call of WRITES."""
    assert LIBC is not None
    numbers = list(WRITES.values())
    steps = [(LOAD, 0, 0, 0)]
    steps += [(IF_EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    steps += [(RETURN, 0, 0, RETURN_ALLOW), (RETURN, 0, 0, RETURN_TRACE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    _ptrace(TRACE_ME, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
    if LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or LIBC.prctl(SET_SECCOMP, SECCOMP_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")
