"""Tuner of an NNI experiment, which gives NNI's trials the calls that the search has submitted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Client, Connection
from typing import Any, NoReturn, overload

from nni.tuner import Tuner

from .nni_messages import read_messages_as_json

TUNER = b"tuner"
"""First message of this process to the search."""


class CallTuner(Tuner):  # type: ignore[misc]
    """Gives each trial the number of a call, and learns nothing: controller and store are in the process of the search.

    It runs in NNI's dispatcher, and ends NNI's manager when that process is gone.

    Args:
        address: Socket of the search's process.
    """

    def __init__(self, address: str) -> None:
        read_messages_as_json()
        self._manager = os.getppid()
        self._connection: Connection[Any, Any] = Client(address, "AF_UNIX")
        self._connection.send_bytes(TUNER)

    def update_search_space(self, search_space: Any) -> None:
        """Does nothing: the space is the search's."""

    def generate_parameters(self, parameter_id: int, **_: Any) -> dict[str, Any]:
        """The next call, as soon as there is one. Raises EOFError when the search's process is gone."""
        parameters: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return parameters

    def generate_multiple_parameters(self, parameter_id_list: Sequence[int], **_: Any) -> Sequence[dict[str, Any]]:
        """The next calls. NNI starts each as soon as it is there."""
        return _NextCalls(self, len(parameter_id_list))

    def end_manager(self) -> NoReturn:
        """Ends NNI's manager, which would run for ever without a tuner, and this process."""
        if os.getppid() == self._manager:
            os.kill(self._manager, signal.SIGTERM)
        os._exit(0)

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **_: Any) -> None:
        """Does nothing: results go from the trial to the search's process."""

    def trial_end(self, parameter_id: int, success: bool, **_: Any) -> None:
        """Does nothing: the search's process sees its trials end."""


class _NextCalls(Sequence[dict[str, Any]]):
    """As many calls as NNI asks for, each of which is waited for when it is read: NNI reads all of a list before it
    starts the first, and the search may submit the second only after the first has ended."""

    def __init__(self, tuner: CallTuner, count: int) -> None:
        self._tuner, self._count = tuner, count
        self._calls: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        return self._calls[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _ in range(self._count):
            try:
                self._calls.append(self._tuner.generate_parameters(0))
            except (EOFError, OSError):
                self._tuner.end_manager()
            yield self._calls[-1]
