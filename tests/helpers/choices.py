"""Search spaces of one function, and the deviation of counts from their expectation."""

from __future__ import annotations


class FunctionSpace:
    """A space of one function."""

    name = "function"

    def __init__(self, decide):
        self.decide = decide

    def build(self, spec, task):
        raise NotImplementedError


def deepening(levels, options=10):
    """A space whose every level is left with probability 1 / 2 by a random descent, and ten times as large as the one
    before: 1 + 10 + 100 + … architectures, most of them behind rare descents."""

    def decide(choose):
        for level in range(levels):
            if not choose(f"{level}.on", (False, True)):
                return
            choose(f"{level}.option", range(options))

    return FunctionSpace(decide), sum(options**level for level in range(levels + 1))


def chi_square(counts, expected):
    return sum((n - expected) ** 2 / expected for n in counts)
