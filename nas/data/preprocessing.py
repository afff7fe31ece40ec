"""Preprocessing of a user's own data, as data: what makes the inputs of a network, in training and in later use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from ..errors import DataError, shown

Fit = Literal["stretch", "crop"]
Polarity = Literal["keep", "invert", "rarer"]


@dataclass(frozen=True)
class ImagePreprocessing:
    """Images become float32 (channels, height, width) with values in [0, 1].

    Attributes:
        channels: 1 (grey) or 3 (red, green, blue).
        height: Height of the input in pixels.
        width: Width of the input in pixels.
        fit: 'stretch' resizes height and width independently; 'crop' keeps the aspect ratio and cuts out the middle.
        polarity: 'keep' leaves the values as they are; 'invert' replaces v by 1 − v; 'rarer' does so for each image
            whose median is above 0.5, so that the rarer shade of a drawing, its ink, is 1.
    """

    kind: ClassVar[str] = "image"
    channels: int
    height: int
    width: int
    fit: Fit = "stretch"
    polarity: Polarity = "keep"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class SeriesPreprocessing:
    """Time series are resampled to float32 (channels, length).

    Attributes:
        channels: Number of channels.
        length: Values of each channel.
        scale: Divisor of the values; 0 gives each channel of a series mean 0 and standard deviation 1 instead.
    """

    kind: ClassVar[str] = "series"
    channels: int
    length: int
    scale: float = 0.0

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.channels, self.length


@dataclass(frozen=True)
class ArrayPreprocessing:
    """Arrays of a fixed shape are shifted and scaled: (x − mean) / deviation.

    Attributes:
        shape: Shape of an input: (features,) or (channels, height, width) or (channels, length).
        mean: Mean of each feature or channel in the training split.
        deviation: Standard deviation of each, above 0.
        target_mean: Mean of each regression target in the training split; empty in classification.
        target_deviation: Standard deviation of each regression target, above 0; predictions are scaled back.
        features: Names of the features, in a table with a header; else empty.
        targets: Names of the regression targets, in a table with a header; else empty.
    """

    kind: ClassVar[str] = "array"
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    target_mean: tuple[float, ...] = ()
    target_deviation: tuple[float, ...] = ()
    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape


Preprocessing = ImagePreprocessing | SeriesPreprocessing | ArrayPreprocessing
KINDS: Mapping[str, type[Preprocessing]] = {
    each.kind: each for each in (ImagePreprocessing, SeriesPreprocessing, ArrayPreprocessing)
}


def to_json(preprocessing: Preprocessing) -> dict[str, Any]:
    """The preprocessing as JSON values, with its kind."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    return {"kind": preprocessing.kind, **values}


def from_json(value: object) -> Preprocessing:
    """The preprocessing of `to_json`.

    Raises:
        DataError: The value has an unknown kind, or unknown, missing or unusable entries.
    """
    if not isinstance(value, Mapping) or value.get("kind") not in KINDS:
        raise DataError(f"{shown(value)} is no preprocessing; its kind must be one of {', '.join(KINDS)}")
    entries = {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in value.items() if key != "kind"}
    kind: Callable[..., Preprocessing] = KINDS[value["kind"]]
    try:
        return kind(**entries)
    except TypeError as error:
        raise DataError(f"the preprocessing of kind {value['kind']!r} cannot be read: {error}") from error
