"""Handwriting, imitated: stroke glyphs drawn into small images by drawers who differ in slant, slope, size and pen.

Only sums, products and quotients of uniform numbers are used, element by element (no sine, no logarithm, no matrix
product), so that machines agree on every pixel.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

SIDE: Final = 28
_FINE: Final = 3  # fine pixels a pixel, along each axis
_GRID: Final = SIDE * _FINE
_PENS: Final = (3, 4, 5)  # widths of the pens in fine pixels
_SHADES: Final = (np.arange(_FINE**2 + 1) * 255 // _FINE**2).astype(np.uint8)  # of a pixel by its inked fine pixels
_STEP: Final = 1.5  # fine pixels between the dots of a stroke; even stretched, they leave no gap between pen widths

# Half ranges of slant, slope, stretch and size: what is a drawer's own, and what differs from drawing to drawing.
_OWN: Final = (0.20, 0.10, 0.08, 0.05)
_ONCE: Final = (0.10, 0.12, 0.10, 0.06)
_SIZE: Final = 0.70  # the longer side of a drawing, as a part of the image's, before the drawer's size
# Half ranges of the rest, in glyph sizes: of the plane bending, of each stroke's place, of each vertex's place.
_BEND, _STROKE, _VERTEX = 0.20, 0.04, 0.018
_ROAM: Final = 0.6  # how much of the room around a drawing its place varies over


def draw(strokes: Sequence[Points], *, drawers: int, key: str) -> NDArray[np.uint8]:
    """One glyph by each of `drawers` drawers: (drawers, 28, 28) uint8, ink = 255. Drawer i is the same in every call.

    strokes  (points, 2) each, x to the right and y down, in any unit
    key      names the glyph; the chance in its drawings is derived from it
    """
    lengths = [len(stroke) for stroke in strokes]
    hand = _signed_uniform(0, (drawers, 5))
    chance = _signed_uniform(zlib.crc32(key.encode()), (drawers, 12 + 2 * len(strokes) + 2 * sum(lengths)))
    lean, place, bend, rest = np.split(chance, [4, 6, 12], axis=1)
    slant, slope, stretch, size = (np.array(_OWN) * hand[:, :4] + np.array(_ONCE) * lean).T[..., None]
    still = fitted(np.concatenate(strokes))
    x, y = _bent(still + _tremble(rest, lengths), bend)
    points = np.stack([x * (1 + stretch) - slant * y, y + slope * x], axis=-1)
    pens = np.array(_PENS)[((hand[:, 4] + 1) / 2 * len(_PENS)).astype(int)]
    return _ink(_placed(points, _SIZE + size[..., None], _ROAM * place), *_dots(still, lengths), pens)


def plain(strokes: Sequence[Points]) -> NDArray[np.uint8]:
    """The glyph as it is in its face, centred, with the broadest pen: (28, 28) uint8, ink = 255."""
    points = fitted(np.concatenate(strokes))
    places = _placed(points[None], np.full((1, 1, 1), _SIZE), np.zeros((1, 2)))
    dots = _dots(points, [len(stroke) for stroke in strokes])
    image: NDArray[np.uint8] = _ink(places, *dots, np.array(_PENS[-1:]))[0]
    return image


def fitted(points: Points) -> Points:
    """(..., points, 2) moved and scaled, in proportion, so that their box is centred on 0, its longer side 1."""
    low, high = points.min(axis=-2, keepdims=True), points.max(axis=-2, keepdims=True)
    inside: Points = (points - (low + high) / 2) / (high - low).max(axis=-1, keepdims=True)
    return inside


def _signed_uniform(seed: int, shape: tuple[int, int]) -> Points:
    """Numbers in [-1, 1); a row stays what it is when there are more rows."""
    return 2 * np.random.default_rng(seed).random(shape) - 1


def _tremble(chance: Points, lengths: Sequence[int]) -> Points:
    """How far each vertex is off, (drawers, vertices, 2): its stroke's displacement and its own."""
    displaced = chance.reshape(len(chance), -1, 2)
    of_stroke = np.repeat(displaced[:, : len(lengths)], lengths, axis=1)
    off: Points = _STROKE * of_stroke + _VERTEX * displaced[:, len(lengths) :]
    return off


def _bent(points: Points, chance: Points) -> tuple[Points, Points]:
    """x and y, (drawers, points), after a quadratic warp of the plane; its coefficients are `chance`."""
    x, y = points[..., 0], points[..., 1]
    a, b, c, d, e, f = _BEND * chance.T[..., None]
    return x + a * x * x + b * x * y + c * y * y, y + d * x * x + e * x * y + f * y * y


def _placed(points: Points, size: Points, shift: Points) -> Points:
    """Points in fine pixels: `size` parts of the image, `shift` (drawings, 2) in [-1, 1] of the room around them."""
    inside = fitted(points) * size * _GRID
    room = (_GRID - max(_PENS) - 1) / 2 - np.abs(inside).max(axis=1)
    placed: Points = inside + (_GRID / 2 + room * shift)[:, None]
    return placed


def _dots(points: Points, lengths: Sequence[int]) -> tuple[NDArray[np.intp], Points]:
    """Where the pen touches down along polylines of `lengths` points each, of a fitted glyph's `points` (points, 2).

    For each dot the number of the point before it, and the part of the way from there to the next point, (dots, 1).
    """
    starts = np.setdiff1d(np.arange(len(points)), np.cumsum(lengths) - 1)
    reach = np.abs(points[starts + 1] - points[starts]).max(axis=1) * _SIZE * _GRID
    counts = np.ceil(reach / _STEP).astype(int) + 3
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts), (number / np.repeat(counts - 1, counts))[:, None]


def _ink(places: Points, start: NDArray[np.intp], part: Points, pens: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Drawings (drawings, 28, 28) uint8 of glyphs whose points lie at `places` (drawings, points, 2), in fine pixels.

    start, part  the dots, as `_dots` returns them
    pens         (drawings,) widths in fine pixels; a pen is square
    """
    column, row = np.moveaxis(places[:, start] * (1 - part) + places[:, start + 1] * part, -1, 0).astype(int)
    fine = np.zeros((len(places), _GRID, _GRID), dtype=np.uint8)
    fine[np.arange(len(places))[:, None], row, column] = 1
    for pen in set(pens.tolist()):
        fine[pens == pen] = _broadened(fine[pens == pen], pen)
    inked = sum(fine[:, row::_FINE, column::_FINE] for row in range(_FINE) for column in range(_FINE))
    images: NDArray[np.uint8] = _SHADES[inked]
    return images


def _broadened(fine: NDArray[np.uint8], pen: int) -> NDArray[np.uint8]:
    """Each dot of (drawings, rows, columns) grown to a square of `pen` dots; strokes stay clear of the edge."""
    before = pen // 2
    for axis in (1, 2):
        moved = np.moveaxis(fine, axis, 0)
        grown = moved.copy()
        for by in range(1, before + 1):
            grown[:-by] |= moved[by:]
        for by in range(1, pen - before):
            grown[by:] |= moved[:-by]
        fine = np.moveaxis(grown, 0, axis)
    return fine
