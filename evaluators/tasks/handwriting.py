"""Synthetic handwriting: stroke glyphs as small images, by simulated drawers that differ in slant, slope, size and pen.

The computation uses only sums, products and quotients of uniform numbers, element by element (no sine, logarithm or
matrix product), so that all machines agree on every pixel.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

SIDE: Final = 28
_FINE: Final = 3  # Fine pixels in a pixel, along each axis.
_GRID: Final = SIDE * _FINE
_PENS: Final = (3, 4, 5)  # Widths of the pens in fine pixels.
_SHADES: Final = (np.arange(_FINE**2 + 1) * 255 // _FINE**2).astype(np.uint8)  # By the number of inked fine pixels.
_STEP: Final = 1.5  # Fine pixels between the dots of a stroke; even where stretched, no pen leaves a gap between them.

# Half ranges of slant, slope, stretch and size: those that belong to a drawer, and those that vary between drawings.
_BY_DRAWER: Final = (0.20, 0.10, 0.08, 0.05)
_BY_DRAWING: Final = (0.10, 0.12, 0.10, 0.06)
_SIZE: Final = 0.70  # The longer side of a drawing as a fraction of the image's, before the drawer's size.
# Half ranges in glyph sizes: of the bending of the plane, of each stroke's place, of each vertex's place.
_BEND, _STROKE, _VERTEX = 0.20, 0.04, 0.018
_ROAM: Final = 0.6  # Fraction of the room around a drawing over which its place varies.


def draw(strokes: Sequence[Points], *, drawers: int, key: str) -> NDArray[np.uint8]:
    """Drawings of one glyph, one by each drawer; drawer i is the same in every call.

    Args:
        strokes: Polylines (points, 2), x to the right and y down, in any unit.
        drawers: Number of drawers.
        key: Name of the glyph, from which the random numbers of its drawings are derived.

    Returns:
        Images (drawers, 28, 28) uint8, ink = 255.
    """
    lengths = [len(stroke) for stroke in strokes]
    traits = _signed_uniform(0, (drawers, 5))
    noise = _signed_uniform(zlib.crc32(key.encode()), (drawers, 12 + 2 * len(strokes) + 2 * sum(lengths)))
    lean, place, bend, rest = np.split(noise, [4, 6, 12], axis=1)
    slant, slope, stretch, size = (np.array(_BY_DRAWER) * traits[:, :4] + np.array(_BY_DRAWING) * lean).T[..., None]
    undisturbed = fitted(np.concatenate(strokes))
    x, y = _bent(undisturbed + _displacements(rest, lengths), bend)
    points = np.stack([x * (1 + stretch) - slant * y, y + slope * x], axis=-1)
    pens = np.array(_PENS)[((traits[:, 4] + 1) / 2 * len(_PENS)).astype(int)]
    return _ink(_placed(points, _SIZE + size[..., None], _ROAM * place), *_dots(undisturbed, lengths), pens)


def plain(strokes: Sequence[Points]) -> NDArray[np.uint8]:
    """The glyph as in its face, centred, drawn with the broadest pen: (28, 28) uint8, ink = 255."""
    points = fitted(np.concatenate(strokes))
    places = _placed(points[None], np.full((1, 1, 1), _SIZE), np.zeros((1, 2)))
    dots = _dots(points, [len(stroke) for stroke in strokes])
    image: NDArray[np.uint8] = _ink(places, *dots, np.array(_PENS[-1:]))[0]
    return image


def fitted(points: Points) -> Points:
    """Points (..., points, 2), moved and scaled to a bounding box that is centred on 0 and whose longer side is 1."""
    low, high = points.min(axis=-2, keepdims=True), points.max(axis=-2, keepdims=True)
    inside: Points = (points - (low + high) / 2) / (high - low).max(axis=-1, keepdims=True)
    return inside


def _signed_uniform(seed: int, shape: tuple[int, int]) -> Points:
    """Uniform numbers in [-1, 1); a row does not depend on the number of rows."""
    return 2 * np.random.default_rng(seed).random(shape) - 1


def _displacements(noise: Points, lengths: Sequence[int]) -> Points:
    """Displacement of each vertex, (drawers, vertices, 2): that of its stroke plus its own."""
    uniform = noise.reshape(len(noise), -1, 2)
    of_stroke = np.repeat(uniform[:, : len(lengths)], lengths, axis=1)
    total: Points = _STROKE * of_stroke + _VERTEX * uniform[:, len(lengths) :]
    return total


def _bent(points: Points, coefficients: Points) -> tuple[Points, Points]:
    """x and y, (drawers, points), after a quadratic warp of the plane with `coefficients` (drawers, 6) in [-1, 1)."""
    x, y = points[..., 0], points[..., 1]
    a, b, c, d, e, f = _BEND * coefficients.T[..., None]
    return x + a * x * x + b * x * y + c * y * y, y + d * x * x + e * x * y + f * y * y


def _placed(points: Points, size: Points, shift: Points) -> Points:
    """Points in fine pixels; `size` is a fraction of the image, `shift` in [-1, 1] a fraction of the room left."""
    inside = fitted(points) * size * _GRID
    room = (_GRID - max(_PENS) - 1) / 2 - np.abs(inside).max(axis=1)
    placed: Points = inside + (_GRID / 2 + room * shift)[:, None]
    return placed


def _dots(points: Points, lengths: Sequence[int]) -> tuple[NDArray[np.intp], Points]:
    """Dots along polylines of `lengths` points each, of a fitted glyph's `points` (points, 2).

    Returns:
        For each dot the number of the point before it, (dots,), and the fraction of the way from there to the next
        point, (dots, 1).
    """
    starts = np.setdiff1d(np.arange(len(points)), np.cumsum(lengths) - 1)
    reach = np.abs(points[starts + 1] - points[starts]).max(axis=1) * _SIZE * _GRID
    counts = np.ceil(reach / _STEP).astype(int) + 3
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts), (number / np.repeat(counts - 1, counts))[:, None]


def _ink(places: Points, start: NDArray[np.intp], part: Points, pens: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Drawings of a glyph.

    Args:
        places: Positions of its points in fine pixels, (drawings, points, 2).
        start: Number of the point before each dot, as `_dots` returns it.
        part: Fraction of the way to the next point, as `_dots` returns it.
        pens: Widths of the square pens in fine pixels, (drawings,).

    Returns:
        Images (drawings, 28, 28) uint8.
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
    """Drawings (drawings, rows, columns) with each dot grown to a square of `pen` dots; none reaches the edge."""
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
