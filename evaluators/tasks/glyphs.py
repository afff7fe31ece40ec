"""Glyphs: Hershey's stroke glyphs in synthetic handwriting, built-in tasks that need no download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import torch

from nas.bounds import check_number
from nas.errors import DataError
from nas.task import Split

from ..protocol_options import BEFORE
from .class_family import ClassData, ClassPool, in_rotations
from .handwriting import Points, draw, fitted, plain
from .image_family import ImageFamily

# Faces that are near copies of each other, or the same letters in another weight, stay in one split, because a Roman A
# is much the same in most of them. The black-letter faces and the Japanese one have least in common with the rest.
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
# Cosine between two plain glyphs from which they count as one. It is lower across splits, where a pair would be a leak.
_ALIKE_WITHIN: Final = 0.975
_ALIKE_ACROSS: Final = 0.93

Glyph = tuple[Points, ...]


@dataclass(frozen=True, kw_only=True)
class Glyphs(ImageFamily):
    """Stroke glyphs of the `hershey-fonts` package. The glyphs are real; the handwriting is synthetic.

    A class is one glyph of one face. Its drawings are made at run time by seeded drawers (`handwriting.draw`), which
    vary slant, slope, proportion, size, place and pen, bend the plane, and displace strokes and vertices. No person
    drew them. Splits are disjoint in classes and in faces. Blank glyphs, single lines, and glyphs that look like an
    earlier one of any face are left out, so that no two classes have the same strokes.

    Attributes:
        drawers: Drawings of each class, from 2 to 1000; the first 20 are the same for any number.
        rotations: Whether each training class turned by 90, 180 and 270° is a further class; a task has at most one
            rotation of a class.
    """

    name: ClassVar[str] = "glyphs"
    licence: ClassVar[str] = "Hershey fonts: free to use with acknowledgement, in any format but that of the U.S. NTIS"
    drawers: int = 20
    rotations: bool = field(default=False, metadata={BEFORE: False})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.name, "drawers", self.drawers, 2, 1000)

    def load(self) -> ClassData:
        """Draws all classes, once in a process. Raises DataError where the package lacks a face."""
        return _drawn(self.drawers, self.rotations)


@lru_cache(maxsize=2)
def _images(drawers: int) -> tuple[Mapping[str, tuple[Split, Glyph]], torch.Tensor]:
    glyphs = _distinct()
    images = np.stack([draw(strokes, drawers=drawers, key=name) for name, (_, strokes) in glyphs.items()])
    return glyphs, torch.from_numpy(images)


@lru_cache(maxsize=2)
def _drawn(drawers: int, rotations: bool) -> ClassData:
    glyphs, images = _images(drawers)
    splits = [split for split, _ in glyphs.values()]
    pools: dict[Split, ClassPool] = {}
    for split in FACES:
        rows = [row for row, owner in enumerate(splits) if owner == split]
        names = [list(glyphs)[row] for row in rows]
        turned = rotations and split == "train"
        pools[split] = in_rotations(names, rows) if turned else ClassPool(tuple(names), torch.tensor(rows))
    return ClassData(images, pools)


def _distinct() -> dict[str, tuple[Split, Glyph]]:
    """Split and strokes by class name, without look-alikes. Test faces come first, so they keep their glyphs."""
    by_shape: dict[bytes, tuple[str, Split, Glyph]] = {}
    for split, name, strokes in _all_glyphs():
        if sum(len(stroke) - 1 for stroke in strokes) > 1:
            by_shape.setdefault(_shape(strokes), (name, split, strokes))
    glyphs = list(by_shape.values())
    cosines = _cosines([strokes for *_, strokes in glyphs])
    splits = np.array([split for _, split, _ in glyphs])
    limits = np.where(splits[:, None] == splits, _ALIKE_WITHIN, _ALIKE_ACROSS)
    kept: list[int] = []
    for i in range(len(glyphs)):
        if (cosines[i, kept] < limits[i, kept]).all():
            kept.append(i)
    return {name: (split, strokes) for name, split, strokes in (glyphs[i] for i in kept)}


def _shape(strokes: Glyph) -> bytes:
    """A text that is equal for glyphs that differ only in place and size."""
    lengths = [len(stroke) for stroke in strokes]
    return repr(lengths).encode() + np.round(fitted(np.concatenate(strokes)) * 1000).astype(np.int16).tobytes()


def _cosines(glyphs: Sequence[Glyph]) -> Points:
    """Cosines between all pairs of plain glyphs, (glyphs, glyphs), drawn with a thick pen and blurred to 14 × 14."""
    images = np.stack([plain(strokes) for strokes in glyphs]).astype(float)
    # All sums below are of whole numbers under 2**53, so they are exact in any order in which a machine adds them.
    coarse = images.reshape(len(images), 14, 2, 14, 2).sum(axis=(2, 4)).reshape(len(images), -1)
    products = coarse @ coarse.T
    lengths = np.sqrt(np.diag(products))
    cosines: Points = products / lengths[:, None] / lengths
    return cosines


def _all_glyphs() -> Iterator[tuple[Split, str, Glyph]]:
    """Split, name ('futural/A') and strokes of every glyph that is not blank."""
    from HersheyFonts import HersheyFonts  # Other families do not need it.

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
