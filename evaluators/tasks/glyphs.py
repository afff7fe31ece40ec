"""The built-in tasks: Hershey's stroke glyphs, which need no download, in synthetic handwriting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import torch

from nas.bounds import check_number
from nas.errors import DataError
from nas.task import Split

from .class_family import ClassData, ClassPool
from .handwriting import Points, draw, fitted, plain
from .image_family import ImageFamily

# Faces that are near copies of each other, or the same letters in another weight, stay in one split: a Roman A is much
# the same in most of them. The black-letter faces and the Japanese one have least in common with the rest.
FACES: Final[Mapping[Split, tuple[str, ...]]] = MappingProxyType(
    {
        "test": ("japanese",),
        "validation": ("gothgbt", "gothgrt", "gothiceng", "gothicger", "gothicita", "gothitt"),
        "train": (
            *("futural", "futuram", "rowmans", "rowmand", "rowmant", "timesr", "timesrb", "timesi", "timesib"),
            *("cursive", "scripts", "scriptc", "greek", "greeks", "greekc", "timesg", "cyrilc_1", "cyrillic"),
            *("astrology", "markers", "mathlow", "mathupp", "meteorology", "music", "symbolic"),
        ),
    }
)
# The cosine between two plain glyphs from which on they count as one: stricter across splits, where it would be a leak.
_ALIKE_WITHIN: Final = 0.975
_ALIKE_ACROSS: Final = 0.93

Glyph = tuple[Points, ...]


@dataclass(frozen=True, kw_only=True)
class Glyphs(ImageFamily):
    """Stroke glyphs of the `hershey-fonts` package. The glyphs are real; the handwriting is synthetic.

    A class is one glyph of one face. Its drawings are made at run time by seeded synthetic drawers (`strokes.draw`):
    they vary slant, slope, proportion, size, place and pen, bend the plane, and displace strokes and vertices. No
    person drew them. Splits are disjoint in classes and in faces. Blank glyphs, single lines, and glyphs that look
    like one met before, in any face, are left out: no two classes have the same strokes.

    drawers  drawings of each class, at least 2; the first 20 are the same however many there are
    """

    name: ClassVar[str] = "glyphs"
    drawers: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.name, "drawers", self.drawers, 2, 1000)

    def load(self) -> ClassData:
        """Draws all classes, once a process. Raises DataError where the package lacks a face."""
        return _drawn(self.drawers)


@lru_cache(maxsize=2)
def _drawn(drawers: int) -> ClassData:
    glyphs = _distinct()
    images = np.stack([draw(strokes, drawers=drawers, key=name) for name, (_, strokes) in glyphs.items()])
    splits = [split for split, _ in glyphs.values()]
    pools: dict[Split, ClassPool] = {}
    for split in FACES:
        rows = [row for row, owner in enumerate(splits) if owner == split]
        names = list(glyphs)
        pools[split] = ClassPool(tuple(names[row] for row in rows), torch.tensor(rows))
    return ClassData(torch.from_numpy(images), pools)


def _distinct() -> dict[str, tuple[Split, Glyph]]:
    """Class name -> its split and strokes, without look-alikes. Test faces come first, so they keep their glyphs."""
    found: dict[bytes, tuple[str, Split, Glyph]] = {}
    for split, name, strokes in _all_glyphs():
        if sum(len(stroke) - 1 for stroke in strokes) > 1:
            found.setdefault(_shape(strokes), (name, split, strokes))
    glyphs = list(found.values())
    cosines = _cosines([strokes for *_, strokes in glyphs])
    splits = np.array([split for _, split, _ in glyphs])
    limits = np.where(splits[:, None] == splits, _ALIKE_WITHIN, _ALIKE_ACROSS)
    kept: list[int] = []
    for i in range(len(glyphs)):
        if (cosines[i, kept] < limits[i, kept]).all():
            kept.append(i)
    return {name: (split, strokes) for name, split, strokes in (glyphs[i] for i in kept)}


def _shape(strokes: Glyph) -> bytes:
    """Equal for glyphs that differ in place and size alone."""
    lengths = [len(stroke) for stroke in strokes]
    return repr(lengths).encode() + np.round(fitted(np.concatenate(strokes)) * 1000).astype(np.int16).tobytes()


def _cosines(glyphs: Sequence[Glyph]) -> Points:
    """(glyphs, glyphs): how much two plain glyphs overlap, drawn with a thick pen and blurred to 14 by 14."""
    images = np.stack([plain(strokes) for strokes in glyphs]).astype(float)
    # All sums below are of whole numbers under 2**53, so they are exact whatever order a machine adds them in.
    coarse = images.reshape(len(images), 14, 2, 14, 2).sum(axis=(2, 4)).reshape(len(images), -1)
    products = coarse @ coarse.T
    lengths = np.sqrt(np.diag(products))
    cosines: Points = products / lengths[:, None] / lengths
    return cosines


def _all_glyphs() -> Iterator[tuple[Split, str, Glyph]]:
    """Every glyph that is not blank: its split, its name ('futural/A') and its strokes."""
    from HersheyFonts import HersheyFonts  # not needed where another family is used

    fonts = HersheyFonts()
    known = set(fonts.default_font_names)
    for split, faces in FACES.items():
        for face in faces:
            if face not in known:
                raise DataError(f"the hershey-fonts package has no face {face!r}; install Hershey-Fonts 2.1")
            fonts.load_default_font(face)
            for character, glyph in fonts.all_glyphs.items():
                strokes = tuple(np.array(stroke, dtype=float) for stroke in glyph.strokes if len(stroke) > 1)
                if strokes and np.ptp(np.concatenate(strokes), axis=0).any():
                    yield split, f"{face}/{_readable(character)}", strokes


def _readable(character: str) -> str:
    return character if character.isascii() and character.isprintable() else f"U+{ord(character):04X}"
