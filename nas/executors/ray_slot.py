"""Slot of a Ray cluster: an actor that hosts one worker process on its node. It runs on the node."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..failures import Raised, Returned, attempt
from ..provenance import versions
from .capped_output import output_of
from .carried_files import unpack
from .limits import memory_limits
from .process_executor import ProcessExecutor
from .remote_call import RemoteCall, RemoteResult, perform_in


class RaySlot:
    """The actor. Deadline, limits, process group and replacement of a lost worker are those of `ProcessExecutor`.

    Args:
        packed: Trees of files that calls need, packed; empty for none. Ray keeps one copy on each node.
        roots: The trees' roots on the machine that packed them.
        import_path: Folders of the user's own modules. Those that this node has too join the end of its import path.
        host_gb: Limit of the worker's memory, as `memory_limits` takes it.
        gpu_gb: Limit of its memory of each GPU.
    """

    def __init__(
        self,
        packed: bytes,
        roots: Sequence[Path],
        import_path: Sequence[str],
        host_gb: float | Literal["auto"],
        gpu_gb: float,
    ) -> None:
        sys.path += [entry for entry in import_path if entry not in sys.path and Path(entry).is_dir()]
        self._packed, self._roots = packed, roots
        self._places: dict[str, str] = {}
        self._executor = ProcessExecutor(1, limits=memory_limits(host_gb, gpu_gb))

    def ready(self) -> dict[str, str]:
        """Unpacks the files, and returns the versions of Python and the packages on this node."""
        if self._roots:
            folder = Path(tempfile.gettempdir()) / "adaptnas-files"
            folder.mkdir(mode=0o700, exist_ok=True)
            self._places = unpack(self._packed, self._roots, folder)
            self._packed = b""
        return versions()

    def call(self, call: RemoteCall, deadline_s: float | None) -> tuple[Returned[RemoteResult] | Raised, bytes]:
        """Makes a call in the worker process, and returns its result or its error, and what it printed."""
        self._executor.deadline_s = deadline_s
        future = perform_in(self._executor, call, self._places)
        return attempt(future.result), output_of(future)
