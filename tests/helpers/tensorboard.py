"""TensorBoard logs, as TensorBoard's own reader reads them."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each scalar, by its tag."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
