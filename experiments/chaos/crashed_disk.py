"""Files as a crash of the machine may leave them, from a record of the writes and synchronisations of a process.

What was synchronised is there. Of what was written since, each sector may be there or not, whatever the order. Changes
of folders reach the disk in their order, as on file systems with a journal.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .tracing import Body, Call, Ended, follow

SECTOR_BYTES = 512
SHARED_MEMORY = "-shm"
"""Suffix of SQLite's file of shared memory, which no crash keeps."""


@dataclass(frozen=True)
class Operation:
    """A change of the file system, a synchronisation, or an acknowledgement.

    Attributes:
        kind: 'mkdir', 'create', 'write', 'cut', 'rename', 'unlink', 'sync' or 'say'.
        path: The file or folder; empty for 'say'.
        data: The bytes that are written or said.
        place: Offset of a write, or the size to which a file is cut.
        target: The new path of a renamed file.
    """

    kind: str
    path: str = ""
    data: bytes = b""
    place: int = 0
    target: str = ""


def recorded(body: Body, root: Path) -> tuple[list[Operation], Ended]:
    """The operations of a process on files below a folder, in their order."""
    operations: list[Operation] = []

    def before(call: Call) -> bool:
        operation = _operation(call)
        if operation is not None and (operation.kind == "say" or Path(operation.path).is_relative_to(root)):
            operations.append(operation)
        return False

    ended = follow(body, before)
    return operations, ended


def _operation(call: Call) -> Operation | None:
    """What a system call changes; None where it changes nothing."""
    if call.name in ("open", "openat"):
        path = call.path(int(call.name == "openat"))
        return None if os.path.exists(path) else Operation("create", path)
    if call.name in ("mkdir", "unlink", "rename"):
        path = call.path(0)
        if os.path.exists(path) == (call.name == "mkdir"):
            return None
        return Operation(call.name, path, target=call.path(1) if call.name == "rename" else "")
    path = call.file()
    if call.name in ("write", "pwrite64"):
        data = call.memory(call.arguments[1], call.arguments[2])
        if path.startswith("pipe:"):
            return Operation("say", data=data)
        offset = call.arguments[3] if call.name == "pwrite64" else _position(call)
        return Operation("write", path, data, offset)
    if call.name in ("fsync", "fdatasync"):
        return Operation("sync", path)
    if call.name == "ftruncate":
        return Operation("cut", path, place=call.arguments[1])
    raise RuntimeError(f"the call {call.name} of {path} is not known to change files in a way that can be repeated")


def _position(call: Call) -> int:
    """Offset at which a process writes to an open file next."""
    lines = Path(f"/proc/{call.pid}/fdinfo/{call.arguments[0]}").read_text().splitlines()
    return int(lines[0].partition(":")[2])


@dataclass
class _File:
    """Content of a file on the disk, and the operations that need not have reached it."""

    stored: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        self.stored = self.content(lambda: True)
        self.pending = []

    def content(self, reached: Callable[[], bool]) -> bytearray:
        """The content, where `reached` says of each sector that is written whether it is on the disk."""
        data = bytearray(self.stored)
        for each in self.pending:
            if each.kind == "cut":
                if reached():
                    data = data[: each.place].ljust(each.place, b"\0")
                continue
            at = 0
            while at < len(each.data):
                begin = each.place + at
                end = min(len(each.data), at + SECTOR_BYTES - begin % SECTOR_BYTES)
                if reached():
                    data = data.ljust(begin, b"\0")
                    data[begin : begin + end - at] = each.data[at:end]
                at = end
        return data


Names = dict[str, _File | None]
"""Files by their paths; None for folders."""


class Disk:
    """A disk below a folder, to which operations are applied."""

    def __init__(self) -> None:
        self._stored: Names = {}
        self._pending: list[Operation] = []
        self._names: Names = {}
        self._created: dict[int, _File] = {}

    def apply(self, operation: Operation) -> None:
        """Does what an operation does."""
        if operation.kind == "sync":
            self._sync(operation.path)
        elif operation.kind in ("write", "cut"):
            file = self._names.get(operation.path)
            if file is not None:
                file.pending.append(operation)
        elif operation.kind != "say":
            self._change(self._names, operation)
            self._pending.append(operation)

    def crashed(self, draw: random.Random, share: float) -> Mapping[str, bytes | None]:
        """What is left after a crash: the content of each file by its path, and None for each folder.

        Args:
            draw: Source of what has reached the disk.
            share: Probability of that for each sector and each change of a folder.
        """
        names = dict(self._stored)
        for operation in self._pending:
            if draw.random() >= share:
                break
            self._change(names, operation)
        return {
            path: None if file is None else bytes(file.content(lambda: draw.random() < share))
            for path, file in names.items()
            if not path.endswith(SHARED_MEMORY)
        }

    def _sync(self, path: str) -> None:
        file = self._names.get(path)
        if file is not None:
            file.sync()
            return
        touched = [i for i, each in enumerate(self._pending) if path in (_folder(each.path), _folder(each.target))]
        count = touched[-1] + 1 if touched else 0
        for operation in self._pending[:count]:
            self._change(self._stored, operation)
        self._pending = self._pending[count:]

    def _change(self, names: Names, operation: Operation) -> None:
        if operation.kind == "mkdir":
            names[operation.path] = None
        elif operation.kind == "create":
            names[operation.path] = self._created.setdefault(id(operation), _File())
        elif operation.kind == "unlink":
            names.pop(operation.path, None)
        elif operation.path in names:
            names[operation.target] = names.pop(operation.path)


def _folder(path: str) -> str:
    return os.path.dirname(path) if path else ""


def write(files: Mapping[str, bytes | None], root: Path, folder: Path) -> None:
    """Writes files that a crash left below `root` to another folder."""
    for path, data in files.items():
        target = folder / Path(path).relative_to(root)
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
