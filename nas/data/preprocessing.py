"""Preprocessing of a user's own data, as data: what makes the inputs of a network, in training and in later use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal, get_args

from ..errors import DataError, shown

Fit = Literal["stretch", "crop"]
Polarity = Literal["keep", "invert", "rarer"]
LARGEST_SIZE: Final = 2**26
"""Maximum of each size of an input."""
LARGEST_NUMBER: Final = sys.float_info.max


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

    def faults(self) -> Iterator[str]:
        """What is wrong with values that a file has, which may be of any kind."""
        if type(self.channels) is not int or self.channels not in (1, 3):
            yield f"channels is {shown(self.channels)}; it must be 1 or 3"
        yield from _sizes(height=self.height, width=self.width)
        for name, value, known in (("fit", self.fit, get_args(Fit)), ("polarity", self.polarity, get_args(Polarity))):
            if not isinstance(value, str) or value not in known:
                yield f"{name} is {shown(value)}; it must be one of {', '.join(known)}"

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

    def faults(self) -> Iterator[str]:
        """What is wrong with values that a file has, which may be of any kind."""
        yield from _sizes(channels=self.channels, length=self.length)
        if not _is_number(self.scale) or self.scale < 0:
            yield f"scale is {shown(self.scale)}; it must be a number from 0"

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

    def faults(self) -> Iterator[str]:
        """What is wrong with values that a file has, which may be of any kind."""
        for name, values in vars(self).items():
            if not isinstance(values, tuple):
                yield f"{name} is {shown(values)}; it must be a list"
                return
        yield from _sizes(**{f"size {i} of shape": size for i, size in enumerate(self.shape)})
        for name in ("mean", "deviation", "target_mean", "target_deviation"):
            values = getattr(self, name)
            if not all(map(_is_number, values)) or (name.endswith("deviation") and not all(v > 0 for v in values)):
                yield f"{name} is {shown(values)}; it must be of numbers, and a deviation of ones above 0"
        if not len(self.mean) == len(self.deviation) == (self.shape[0] if self.shape else 0):
            yield f"mean and deviation have {len(self.mean)} and {len(self.deviation)} numbers for shape {self.shape}"
        if len(self.target_mean) != len(self.target_deviation):
            yield "target_mean and target_deviation differ in length"
        if not all(isinstance(name, str) for name in (*self.features, *self.targets)):
            yield "features and targets must be of texts"

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
    if not isinstance(value, Mapping) or str(value.get("kind")) not in KINDS:
        raise DataError(f"{shown(value)} is no preprocessing; its kind must be one of {', '.join(KINDS)}")
    entries = {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in value.items() if key != "kind"}
    kind: Callable[..., Preprocessing] = KINDS[str(value["kind"])]
    what = f"the preprocessing of kind {value['kind']!r} cannot be read"
    try:
        preprocessing = kind(**entries)
    except TypeError as error:
        raise DataError(f"{what}: {error}") from error
    fault = next(preprocessing.faults(), None)
    if fault is not None:
        raise DataError(f"{what}: {fault}")
    return preprocessing


def _sizes(**sizes: object) -> Iterator[str]:
    for name, size in sizes.items():
        if type(size) is not int or not 1 <= size <= LARGEST_SIZE:
            yield f"{name} is {shown(size)}; it must be a whole number from 1 to {LARGEST_SIZE:,}"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST_NUMBER <= value <= LARGEST_NUMBER  # neither nan nor infinite
