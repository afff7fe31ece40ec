"""Trade-offs between several numbers, each the better the larger: fronts, ranks, crowding, hypervolume.

Points are (points, objectives), finite.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


def front(points: npt.ArrayLike) -> Indices:
    """The points that none dominates, by index, the best in the first objective first; equal ones are all in it."""
    array = _checked(points)
    order = np.lexsort(-array.T[::-1])  # whoever dominates a point comes before it
    found: list[int] = []
    for index in order.tolist():
        kept, new = array[found], array[index]
        if not ((kept >= new).all(axis=1) & (kept > new).any(axis=1)).any():
            found.append(index)
    return np.array(found, dtype=np.intp)


def ranks(points: npt.ArrayLike) -> Indices:
    """Each point's front, from 0: those that none dominates, then those that only points of earlier fronts do.

    Deb, Pratap, Agarwal & Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), III A.
    (points,), in memory that grows with their square.
    """
    array = _checked(points)
    no_worse: Mask = np.all(array[:, None] >= array[None], axis=2)
    over = no_worse & ~no_worse.T
    found = np.full(len(array), -1, dtype=np.intp)
    for rank in range(len(array)):
        found[(found < 0) & ~over[found < 0].any(axis=0)] = rank
        if (found >= 0).all():
            break
    return found


def crowding(points: npt.ArrayLike) -> Array:
    """How far each point's neighbours on both sides are apart, summed over the objectives, of each one's whole extent.

    NSGA-II, III B: infinite for the ends, of objectives in which the points differ. For points of one front; (points,).
    """
    array = _checked(points)
    array = array / np.maximum(np.abs(array).max(axis=0, initial=0.0), np.finfo(float).tiny)  # no extent overflows
    found = np.zeros(len(array)) if len(array) > 2 else np.full(len(array), np.inf)
    for column in array.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if len(array) > 2 and ordered[-1] > ordered[0]:
            found[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
            found[order[[0, -1]]] = np.inf
    return found


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """The volume of what lies between the reference and the points: above the one and not above all of the others.

    Zitzler & Thiele, "Multiobjective optimization using evolutionary algorithms" (1998). Exact, by slices along the
    last objective (Knowles, 2002; While, Hingston, Barone & Huband, 2006): quick for two objectives, and in the square
    of the front for three. Points that are not better than the reference in everything count nothing.
    """
    array, origin = _checked(points), np.asarray(reference, dtype=float)
    if origin.shape != array.shape[1:]:
        raise ValueError(f"the reference has shape {origin.shape}; it must be {array.shape[1:]}, as a point")
    array = array - origin
    array = array[(array > 0).all(axis=1)]
    return _volume(array[front(array)])


def _volume(points: Array) -> float:
    """Of points above the origin. Slices are as thick as one point is above the next in the last objective."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    thick = points[:, -1] - np.append(points[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float(thick @ np.maximum.accumulate(points[:, 0]))
    return float(sum(t * _volume(points[: i + 1, :-1]) for i, t in enumerate(thick.tolist()) if t > 0))


def _checked(points: npt.ArrayLike) -> Array:
    array = np.asarray(points, dtype=float)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"points have shape {array.shape}; they must be finite numbers (points, objectives)")
    return array
