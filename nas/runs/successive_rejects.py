"""Successive rejects: allocation of measurements among finalists, so that the best one is chosen.

After Audibert, Bubeck & Munos, "Best arm identification in multi-armed bandits" (COLT 2010), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

Arm = TypeVar("Arm")


def schedule(arms: int, pulls: int) -> list[int]:
    """Pulls of each remaining arm at the end of each phase: n_1, ..., n_(K-1) for K arms.

    n_k = ceil((n - K) / (logbar(K) (K + 1 - k))) for n pulls in all, with logbar(K) = 1/2 + 1/2 + 1/3 + ... + 1/K.
    Unlike in the paper, every arm is pulled at least once, one arm alone gets all pulls, and the remainder of the
    rounding goes to the two best in the last phase.

    Args:
        arms: Number of arms K, at least 1.
        pulls: Pulls in all, at least K; no more are made.
    """
    if arms == 1:
        return [pulls]
    logbar = Fraction(1, 2) + sum(Fraction(1, i) for i in range(2, arms + 1))
    ends = [max(1, math.ceil((pulls - arms) / (logbar * (arms + 1 - k)))) for k in range(1, arms)]
    unspent = pulls - sum(ends) - ends[-1]
    return [*ends[:-1], ends[-1] + unspent // 2]


def race(
    arms: Sequence[Arm], pulls: int, measure: Callable[[Sequence[Arm], int], Sequence[float | None]]
) -> list[tuple[Arm, int]]:
    """Ranks arms by successive rejects; of equal arms the earlier one is better.

    Args:
        arms: The arms.
        pulls: Pulls in all, at least one for each arm.
        measure: `measure(arms, count)` gives the mean over the first `count` pulls of each arm, None for one that
            failed. It may be called again with the same arguments. A failed arm is left out, and the best of the
            rejected arms takes its place.

    Returns:
        The arms, each with the number of its pulls that counted: the winner, then the others from the last that was
        rejected to the first.
    """
    order, pulled = list(range(len(arms))), [0] * len(arms)
    for phase, count in enumerate(schedule(len(arms), pulls)):
        left = len(arms) - phase
        means: dict[int, float] = {}
        while missing := [arm for arm in order[:left] if arm not in means]:
            measured = dict(zip(missing, measure([arms[arm] for arm in missing], count), strict=True))
            means |= {arm: mean for arm, mean in measured.items() if mean is not None}
            order = [arm for arm in order if arm in means or arm not in measured]
        for arm in order[:left]:
            pulled[arm] = count
        order = [*sorted(order[:left], key=lambda arm: (-means[arm], arm)), *order[left:]]
    return [(arms[arm], pulled[arm]) for arm in order]
