"""Messages of NNI read as plain JSON: its own reader imports, calls and unpickles what they name."""

from __future__ import annotations

import importlib
import json
from typing import Any

READERS = (
    "nni.runtime.msg_dispatcher",
    "nni.runtime.msg_dispatcher_base",
    "nni.runtime.trial_command_channel.local_legacy",
)
"""Modules of NNI that read messages with their global `load`."""


def read_messages_as_json() -> None:
    """Replaces the reader of messages in this process, which is NNI's dispatcher or one of its trials."""
    for module in READERS:
        vars(importlib.import_module(module))["load"] = plain_json


def plain_json(text: str | None = None, *, fp: Any = None, **_: Any) -> Any:
    """The value of a JSON text or file. Raises ValueError where it is none."""
    return json.load(fp) if text is None else json.loads(text)
