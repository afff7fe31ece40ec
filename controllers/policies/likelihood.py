"""Walks of choices through a search space, and how likely they are where each choice has a softmax over its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .lstm import Array

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Step:
    """One choice that was made: option `index` of `options`."""

    name: str
    options: int
    index: int


Walks = Sequence[Sequence[Step]]


@dataclass(frozen=True)
class Likelihood:
    """What a policy says of some walks.

    log_probs, entropies  of each walk its log-probability, and the sum of its steps' entropies; both (walks,)
    gradient              from a loss's derivatives by the log-probabilities, and each walk's weight of the policy's
                          entropy, to derivatives by the parameters that the walks met, by name

    The entropy of the policy is the expectation of `entropies` over walks that it draws. Its gradient has two parts:
    the steps' entropies change, and so does how likely later steps are to be met. The second is the score function,
    each step's gradient of its log-probability times the entropies of the later steps of its walk. They count less
    their mean over the other walks that make the same choice and have a weight: that changes no expectation, as walks
    are drawn independently, and it leaves nothing where later entropies do not hang on the choice.
    """

    log_probs: Array
    entropies: Array
    gradient: Callable[[Array, Array], dict[str, Array]]


@dataclass(frozen=True)
class Steps:
    """The steps of some walks in one row, those of the same choice together.

    choices              (name, options) of each, in the order of meeting; `counts` says how many steps make it
    walk, place, picked  of each step its walk, its number in it, and the index of the option; all (steps,)
    """

    num_walks: int
    choices: list[tuple[str, int]]
    counts: list[int]
    walk: Indices
    place: Indices
    picked: Indices

    @classmethod
    def of(cls, walks: Walks) -> Steps:
        made: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for walk, steps in enumerate(walks):
            for place, step in enumerate(steps):
                made.setdefault((step.name, step.options), []).append((walk, place, step.index))
        row = np.array([one for same in made.values() for one in same], dtype=np.intp)
        return cls(len(walks), list(made), [len(same) for same in made.values()], *row.T)

    def split(self, values: Array) -> list[Array]:
        """Of values (steps, …) those of each choice."""
        return np.split(values, np.cumsum(self.counts[:-1]))

    def rows_read(self) -> Indices:
        """Which option was taken last, at each place of each walk: (longest walk, walks).

        They are counted through from 1, choice after choice; 0 is the start. Behind a walk's end, anything.
        """
        options = [options for _, options in self.choices]
        firsts = 1 + np.cumsum([0, *options[:-1]])
        rows = np.zeros((self.place.max() + 2, self.num_walks), dtype=np.intp)
        rows[self.place + 1, self.walk] = np.repeat(firsts, self.counts) + self.picked
        return rows[:-1]

    def likelihood(
        self, logits: Sequence[Array], gradient: Callable[[Sequence[Array]], dict[str, Array]]
    ) -> Likelihood:
        """The walks' likelihood where each choice has `logits` (steps that make it, options).

        `gradient` leads on from a loss's derivatives by the logits to those by the parameters that these came from.
        """
        # All in one row, as choices differ in their numbers of options: a step's are the `sizes` from `starts` on.
        sizes = np.repeat([options for _, options in self.choices], self.counts)
        ends = np.cumsum(sizes)
        starts = ends - sizes
        row = np.concatenate([one.ravel() for one in logits])
        row = row - np.repeat(np.maximum.reduceat(row, starts), sizes)
        log_p = row - np.repeat(np.log(np.add.reduceat(np.exp(row), starts)), sizes)
        p = np.exp(log_p)
        entropies = -np.add.reduceat(p * log_p, starts)
        taken = starts + self.picked

        def back(by_log_probs: Array, by_entropies: Array) -> dict[str, Array]:
            by_entropy = by_entropies[self.walk]
            by_taken = by_log_probs[self.walk] + by_entropy * self._ahead(entropies, by_entropy != 0)
            # Of log p[taken]: one at `taken`, less p. Of the entropy H: -p (log p + H).
            by_row = -p * (np.repeat(by_taken + by_entropy * entropies, sizes) + log_p * np.repeat(by_entropy, sizes))
            by_row[taken] += by_taken
            parts = np.split(by_row, np.cumsum([one.size for one in logits[:-1]]))
            return gradient([part.reshape(one.shape) for part, one in zip(parts, logits, strict=True)])

        return Likelihood(self._sums(log_p[taken]), self._sums(entropies), back)

    def _ahead(self, entropies: Array, weighted: npt.NDArray[np.bool_]) -> Array:
        """Of each step the entropies of those that follow it in its walk, less the mean of this over the other weighted
        steps of the same choice, where there are any; all (steps,)."""
        places = np.zeros((self.place.max() + 1, self.num_walks))
        places[self.place, self.walk] = entropies
        ahead = (places[::-1].cumsum(0)[::-1] - places)[self.place, self.walk]
        choice = np.repeat(np.arange(len(self.counts)), self.counts)
        others = np.bincount(choice, weighted)[choice] - weighted
        sums = np.bincount(choice, ahead * weighted)[choice] - ahead * weighted
        centred: Array = ahead - sums / np.maximum(others, 1)
        return centred

    def _sums(self, values: Array) -> Array:
        """Of each walk the sum over its steps."""
        sums: Array = np.bincount(self.walk, values, self.num_walks).astype(np.float64, copy=False)
        return sums
