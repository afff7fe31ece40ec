"""Slot of a Ray cluster: an actor that hosts one worker process on its node. It runs on the node."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..failures import Raised, Returned, attempt
from ..provenance import versions
from .process_executor import ProcessExecutor
from .remote_call import RemoteCall, RemoteResult, perform


class RaySlot:
    """The actor. Deadline, process group and replacement of a lost worker are those of `ProcessExecutor`.

    Args:
        packed: Trees of files that calls need, packed; empty for none. Ray keeps one copy on each node.
        roots: The trees' roots on the machine that packed them.
        import_path: Folders of the user's own modules. Those that this node has too join the end of its import path.
    """

    def __init__(self, packed: bytes, roots: Sequence[Path], import_path: Sequence[str]) -> None:
        sys.path += [entry for entry in import_path if entry not in sys.path and Path(entry).is_dir()]
        self._packed, self._roots = packed, roots
        self._places: dict[str, str] = {}
        self._executor = ProcessExecutor(1)

    def ready(self) -> dict[str, str]:
        """Unpacks the files, and returns the versions of Python and the packages on this node."""
        if self._roots:
            from .carried_files import unpack

            folder = Path(tempfile.gettempdir()) / "adaptnas-files"
            folder.mkdir(mode=0o700, exist_ok=True)
            self._places = unpack(self._packed, self._roots, folder)
            self._packed = b""
        return versions()

    def call(self, call: RemoteCall, deadline_s: float | None) -> Returned[RemoteResult] | Raised:
        """Makes a call in the worker process, and returns its result or its error."""
        self._executor.deadline_s = deadline_s
        result: Any = attempt(self._executor.submit(perform, call, self._places).result)
        return result if result.error is None else Raised(result.error)
