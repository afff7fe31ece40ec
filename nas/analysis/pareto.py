"""Pareto dominance between points with several objectives to be large: fronts, ranks, crowding, hypervolume.

Points are finite numbers (points, objectives); every function raises ValueError for anything else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


def front(points: npt.ArrayLike) -> Indices:
    """The indices of the points that no other dominates, the best in the first objective first; of equal points all."""
    array = _checked(points)
    order = np.lexsort(-array.T[::-1])  # In this order, a point comes after all that dominate it.
    members: list[int] = []
    for index in order.tolist():
        kept, new = array[members], array[index]
        if not ((kept >= new).all(axis=1) & (kept > new).any(axis=1)).any():
            members.append(index)
    return np.array(members, dtype=np.intp)


def ranks(points: npt.ArrayLike) -> Indices:
    """The number of each point's front, from 0, by non-dominated sorting.

    Deb, Pratap, Agarwal & Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), III A.
    Memory grows with the square of the number of points.

    Returns:
        (points,): 0 for points that no other dominates, then 1 for those that only points of front 0 dominate, ….
    """
    array = _checked(points)
    no_worse: Mask = np.all(array[:, None] >= array[None], axis=2)
    over = no_worse & ~no_worse.T
    fronts = np.full(len(array), -1, dtype=np.intp)
    for rank in range(len(array)):
        fronts[(fronts < 0) & ~over[fronts < 0].any(axis=0)] = rank
        if (fronts >= 0).all():
            break
    return fronts


def crowding(points: npt.ArrayLike) -> Array:
    """The crowding distance of each point of one front (NSGA-II, III B).

    Returns:
        (points,): the distance between a point's two neighbours in units of the extent, summed over the objectives;
        infinite for the points at the ends of an objective in which the points differ.
    """
    array = _checked(points)
    array = array / np.maximum(np.abs(array).max(axis=0, initial=0.0), np.finfo(float).tiny)  # So no extent overflows.
    distances = np.zeros(len(array)) if len(array) > 2 else np.full(len(array), np.inf)
    for column in array.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if len(array) > 2 and ordered[-1] > ordered[0]:
            distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
            distances[order[[0, -1]]] = np.inf
    return distances


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """The volume of the region between a reference point and the points: above the one, and below one of the others.

    Zitzler & Thiele, "Multiobjective optimization using evolutionary algorithms" (1998). Exact, by slices along the
    last objective (Knowles, 2002; While, Hingston, Barone & Huband, 2006): quick for two objectives, and in the square
    of the front for three. Points that are not better than the reference in all objectives add nothing.

    Args:
        points: The points (points, objectives).
        reference: The reference point (objectives,).

    Raises:
        ValueError: The points are not finite numbers, or the reference has another number of objectives.
    """
    array, origin = _checked(points), np.asarray(reference, dtype=float)
    if origin.shape != array.shape[1:]:
        raise ValueError(f"the reference has shape {origin.shape}; it must be {array.shape[1:]}, as a point")
    array = array - origin
    array = array[(array > 0).all(axis=1)]
    return _volume(array[front(array)])


def _volume(points: Array) -> float:
    """The hypervolume of points above the origin, by slices between neighbouring points in the last objective."""
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
