"""A space without conditional choices, and trials to tell controllers."""

from __future__ import annotations

from nas.trial import Score, Trial


class Flat:
    """4096 architectures: six choices of four options."""

    name = "flat"

    def decide(self, choose):
        return [choose(f"{i}", range(4)) for i in range(6)]


def done(number, architecture, value):
    return Trial(number, architecture, budget=1, seed=0, state="done", score=Score(value, 0.0))


def failed(number, architecture):
    return Trial(number, architecture, budget=1, seed=0, state="failed", error="it broke")


def distances(encoding, told, new=None):
    """By every measure of an encoding, from told architectures to new ones, or to each other."""
    rows = encoding.rows(told)
    others = rows if new is None else encoding.rows(new)
    return [encoding.distance(measure, rows, others) for measure in range(encoding.measures)]
