"""Event files of TensorBoard, written and read without torch or TensorFlow."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..failures import attempt

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

PREFIX = "events.out.tfevents."
"""Beginning of the names by which TensorBoard knows event files."""


def write(path: Path, events: Sequence[Event], *, append: bool = False) -> None:
    """Writes events to a file; they are complete there when it returns.

    Args:
        path: The file, whose folder is made where it is missing.
        events: The events.
        append: Whether the events of a file that exists are kept.

    Raises:
        OSError: The file cannot be written.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab" if append else "wb") as file:
        header = [] if file.tell() else [Event(wall_time=time.time(), file_version="brain.Event:2")]
        records = RecordWriter(file)
        for each in (*header, *events):
            records.write(each.SerializeToString())


def steps(folder: Path, tag: str) -> set[int]:
    """The steps at which event files in a folder hold a value of a tag; what is damaged holds none."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: set[int] = set()

    def read(path: Path) -> None:
        for read_event in LegacyEventFileLoader(str(path)).Load():
            if any(value.tag == tag for value in read_event.summary.value):
                found.add(read_event.step)

    for path in sorted(folder.glob(f"{PREFIX}*")):
        attempt(read, path)
    return found


def event(values: Sequence[Summary.Value], step: int = 0) -> Event:
    """The event of some values at a step, now."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(step=step, wall_time=time.time(), summary=Summary(value=values))


def scalars(values: Mapping[str, float]) -> list[Summary.Value]:
    """Numbers by tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return [Summary.Value(tag=tag, simple_value=value) for tag, value in sorted(values.items())]


def picture(tag: str, png: bytes) -> Summary.Value:
    """A picture, from the bytes of a PNG file."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = struct.unpack(">II", png[16:24])
    return Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=png, width=width, height=height))


def session_start(hparams: Mapping[str, Any], began_s: float) -> Summary.Value:
    """The beginning of a session of the hparams plugin, whose run is the folder of its event file.

    Args:
        hparams: Hyper-parameters by name: booleans, numbers and texts; anything else is shown as its text.
        began_s: Its time, in seconds since the epoch.
    """
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(start_time_secs=began_s)
    for name, option in hparams.items():
        if isinstance(option, bool):
            info.hparams[name].bool_value = option
        elif isinstance(option, int | float):
            info.hparams[name].number_value = option
        else:
            info.hparams[name].string_value = str(option)
    return _of_plugin("SESSION_START_INFO_TAG", HParamsPluginData(session_start_info=info))


def session_end(*, done: bool, ended_s: float) -> Summary.Value:
    """The end of a session: whether it was successful, and its time in seconds since the epoch."""
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = SessionEndInfo(status=STATUS_SUCCESS if done else STATUS_FAILURE, end_time_secs=ended_s)
    return _of_plugin("SESSION_END_INFO_TAG", HParamsPluginData(session_end_info=info))


def _of_plugin(tag: str, data: Any) -> Summary.Value:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    described = metadata.create_summary_metadata(data)
    return Summary.Value(tag=getattr(metadata, tag), metadata=described, tensor=metadata.NULL_TENSOR)
