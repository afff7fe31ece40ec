"""TensorBoard logs, as TensorBoard's own readers and its hparams plugin read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each scalar, by its tag."""
    events = _events(folder)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def pictures(folder: Path) -> dict[str, list[tuple[int, bytes, int, int]]]:
    """(step, PNG, width, height) of each picture, by its tag."""
    events = _events(folder)
    return {
        tag: [(event.step, event.encoded_image_string, event.width, event.height) for event in events.Images(tag)]
        for tag in events.Tags()["images"]
    }


def hparams_table(logdir: Path) -> dict[str, tuple[dict[str, Any], dict[str, float], str]]:
    """Hyper-parameters, metrics and status of each session in a folder, by its name, as the hparams plugin shows them.

    Only what the plugin has found to be a hyper-parameter or a metric is shown.
    """
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    backend, request = Context(TBContext(data_provider=provider)), RequestContext()
    contents = backend.hparams_metadata(request, "")
    experiment = backend.experiment_from_metadata(request, "", True, contents, [])
    query = api_pb2.ListSessionGroupsRequest(slice_size=10_000, allowed_statuses=api_pb2.Status.values())
    query.col_params.extend(api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos)
    query.col_params.extend(api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos)
    found = list_session_groups.Handler(request, backend, "", query).run().session_groups
    return {
        group.name: (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {value.name.tag: value.value for value in group.metric_values},
            api_pb2.Status.Name(group.sessions[0].status),
        )
        for group in found
    }


def everything(folder: Path) -> dict[str, Any]:
    """All that is logged in a folder and those in it, whatever the number of event files."""
    points = {
        str(at.relative_to(folder)): (
            {tag: sorted(values) for tag, values in logged(at).items()},
            {tag: sorted(values) for tag, values in pictures(at).items()},
        )
        for at in [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    }
    return {**points, "hparams": hparams_table(folder)}


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events
