"""Successive rejects: how often to measure each finalist, so that the best of them is the one that is chosen.

After Audibert, Bubeck & Munos, "Best arm identification in multi-armed bandits" (COLT 2010), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

Arm = TypeVar("Arm")


def schedule(arms: int, pulls: int) -> list[int]:
    """By phase, how often each arm that is left has been pulled at its end: n_1, ..., n_(K-1) for K arms.

    n_k = ceil((n - K) / (logbar(K) (K + 1 - k))) for n pulls in all, with logbar(K) = 1/2 + 1/2 + 1/3 + ... + 1/K. This
    differs from the paper: every arm is pulled once or more, one arm alone gets all pulls, and what rounding leaves of
    them goes to the last phase, to the two best. No more than n are made; n must be at least K.
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
    """The arms, best first, each with the number of its pulls that counted: the winner, and the others from the last
    that was dropped to the first. Among equals the earlier one is better.

    `measure(arms, count)` gives the mean over the first `count` pulls of each arm, None for one that failed; it may be
    asked again for what it gave. An arm that failed is left out, and the best of those dropped comes back for it.
    """
    order, pulled = list(range(len(arms))), [0] * len(arms)
    for phase, count in enumerate(schedule(len(arms), pulls)):
        left = len(arms) - phase
        means: dict[int, float] = {}
        while missing := [arm for arm in order[:left] if arm not in means]:
            found = dict(zip(missing, measure([arms[arm] for arm in missing], count), strict=True))
            means |= {arm: mean for arm, mean in found.items() if mean is not None}
            order = [arm for arm in order if arm in means or arm not in found]
        for arm in order[:left]:
            pulled[arm] = count
        order = [*sorted(order[:left], key=lambda arm: (-means[arm], arm)), *order[left:]]
    return [(arms[arm], pulled[arm]) for arm in order]
