"""Conversions of images: what their decoding changed in them, counted, so that it can be said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

RULES: Mapping[str, str] = MappingProxyType(
    {
        "orientation": "turned upright as their EXIF data say",
        "transparency": "transparent, laid on white",
        "palette": "with a palette, expanded to colours",
        "16 bit": "of 16 bits, of which 65,535 is white",
        "floating point": "of floating point, scaled to black and white where values are outside of [0, 1]",
        "cmyk": "CMYK, converted to RGB",
        "frames": "of several frames or pages, of which the first is taken",
        "size": "resized",
        "grey": "in colour, converted to grey",
        "colour": "grey, repeated in three channels",
        "polarity": "inverted",
    }
)
"""Rule for each kind of image that is not an upright 8-bit image of the right size and channels."""


@dataclass(frozen=True)
class Conversions:
    """Number of images to which each rule was applied.

    Attributes:
        images: Number of all images.
        counts: Number of images by the name of the rule (`RULES`), in the order of RULES, without zeros.
    """

    images: int = 0
    counts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, applied: Iterable[frozenset[str]]) -> Conversions:
        """The conversions of images, given the names of the rules that were applied to each."""
        each = list(applied)
        counts = Counter(name for names in each for name in names)
        return cls(len(each), tuple((name, counts[name]) for name in RULES if counts[name]))

    def text(self) -> str:
        """One line: 'of 20 images 3 were turned upright as their EXIF data say, …'; empty where nothing changed."""
        if not self.counts:
            return ""
        named = "; ".join(f"{number:,} {RULES[name]}" for name, number in self.counts)
        return f"of {self.images:,} images: {named}"
