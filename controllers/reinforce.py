"""REINFORCE at its best: few candidates move the policy far, none is wasted, and a predictor chooses among many."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np

from nas.architecture import Architecture
from nas.bounds import LARGEST_RATE, check_number
from nas.protocols import SearchSpace, ZeroCost
from nas.space import sample
from nas.trial import Trial

from .genetic.operators import MOST_TRIALS
from .policies.adam import Adam
from .policies.likelihood import Step
from .policies.lstm import Array
from .policies.policy import LstmPolicy, Policy, TablePolicy, steps_of
from .policies.policy_gradient import PolicyName, check_lstm
from .surrogate.predictor import MOST_POOLED, Predictor, encodings, normal_quantiles
from .surrogate.zero_cost_features import FeaturesOf
from .without_replacement import Unseen

MOST = 100.0
"""Logarithms of ratios are cut here: squares of the exponential of a large one would be no number."""


class Reinforce:
    """Williams' policy gradient (1992) for searches of tens to thousands of candidates.

    policy   'table': each choice by itself, which a hundred candidates can teach; 'lstm': one choice after another, as
             in Zoph & Le (arXiv 1611.01578), which needs more of them
    lr       learning rate of Adam, above 0
    batch    scored trials to an update, from 1
    epochs   steps taken on a batch, from 1
    clip     PPO's clipping of the ratio of new to old probabilities, above 0 (Schulman et al., arXiv 1707.06347,
             equation 7). Old is the policy that proposed the trial, so results that come late count by their importance
    entropy  weight of the policy's entropy, from 0: its gradient is exact in expectation for walks that the policy
             draws, and is taken along those that were proposed
    replay   weight, from 0, of making the `best` trials likelier (Abolafia et al., arXiv 1801.03526)
    best     how many trials are replayed, from 1
    pool     how many samples of the policy the predictor chooses from, from 1; 1 leaves the choice to the policy. The
             better half of those that are left over is chosen from again
    fresh    the fraction of them that are uniform instead, in [0, 1]
    first    so many uniform samples come first, from 1
    zero_cost  scores before any training that the predictor may go by too: synflow, naswot, grad-norm, parameters
    features   tells them; a search gives what its evaluator has (`nas.protocols.Featured`)

    Rewards are the normal scores of the ranks among all scores told, so it matters neither what they measure nor how
    badly bad candidates do. No network is proposed twice while another is left (with a `pool` of 1, no architecture);
    then `ask` gives less than it is asked for. A trial that was not asked for (a warm start) counts as if the policy at
    hand had proposed it. A trial without a finite score changes nothing.
    """

    name = "reinforce"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        policy: PolicyName = "table",
        lr: float = 0.05,
        batch: int = 5,
        epochs: int = 4,
        clip: float = 0.2,
        entropy: float = 0.01,
        replay: float = 0.3,
        best: int = 5,
        pool: int = 50,
        fresh: float = 0.3,
        first: int = 10,
        hidden: int = 35,
        layers: int = 2,
        zero_cost: tuple[ZeroCost, ...] = (),
        features: FeaturesOf | None = None,
    ) -> None:
        for option, rate in {"lr": lr, "clip": clip}.items():
            check_number(self.name, option, rate, 0.0, LARGEST_RATE, above=True)
        for option, weight in {"entropy": entropy, "replay": replay}.items():
            check_number(self.name, option, weight, 0.0, LARGEST_RATE)
        for option, number in {"batch": batch, "best": best, "first": first}.items():
            check_number(self.name, option, number, 1, MOST_TRIALS)
        check_number(self.name, "epochs", epochs, 1, 10_000)
        check_number(self.name, "pool", pool, 1, MOST_POOLED)
        check_number(self.name, "fresh", fresh, 0.0, 1.0)
        check_lstm(self.name, hidden, layers)
        self._space = space
        self._batch, self._epochs, self._clip = batch, epochs, clip
        self._entropy, self._replay, self._keep = entropy, replay, best
        self._pool, self._fresh, self._first = pool, fresh, first
        self._policy: Policy = (
            TablePolicy(seed=seed) if policy == "table" else LstmPolicy(seed=seed, hidden=hidden, layers=layers)
        )
        self._adam = Adam(self._policy.parameters, lr)
        self._unseen = Unseen(space, seed=seed, networks=pool > 1)
        self._predictor = Predictor(encodings(space, zero_cost, features))
        self._old: dict[Architecture, float] = {}
        self._left: list[Architecture] = []
        self._scores: list[float] = []
        self._waiting: list[tuple[list[Step], float, float]] = []
        self._best: list[tuple[float, int, list[Step]]] = []

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is drawn."""
        found = list(self._unseen.propose(n, self._propose))
        self._old |= {each: self._log_prob(steps_of(self._space, each)) for each in found}
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        """Updates the policy each time a batch of scored trials is full, asked for or not.

        Raises SpaceError for trials of another space.
        """
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            steps = steps_of(self._space, trial.architecture)
            self._unseen.see(trial.architecture)
            if not steps:
                continue  # a space without a choice leaves nothing to learn
            if self._pool > 1:
                self._predictor.tell(trial.architecture, trial.value, trial.stderr)
            insort(self._scores, trial.value)
            self._best = sorted([*self._best, (-trial.value, len(self._scores), steps)])[: self._keep]
            old = self._old.pop(trial.architecture, None)
            self._waiting.append((steps, trial.value, self._log_prob(steps) if old is None else old))
            if len(self._waiting) == self._batch:
                self._update()

    def _propose(self, rng: random.Random) -> Architecture | None:
        if len(self._scores) < self._first:
            return self._unseen.draw(lambda: sample(self._space, rng), rng)
        if self._pool == 1:
            return self._unseen.draw(lambda: self._policy.sample(self._space, rng), rng)
        pool = self._unseen.pool(lambda: self._sample(rng), self._pool, rng, self._left)
        if len(pool) > 1 and self._predictor.ready:
            pool = self._predictor.ranked(pool, rng)
            self._left = pool[: self._pool // 2]
        new = next((one for one in pool if self._unseen.is_new(one)), None)
        return new or self._unseen.draw(lambda: self._sample(rng), rng)

    def _sample(self, rng: random.Random) -> Architecture:
        return sample(self._space, rng) if rng.random() < self._fresh else self._policy.sample(self._space, rng)

    def _log_prob(self, steps: Sequence[Step]) -> float:
        return float(self._policy.likelihood([steps]).log_probs[0]) if steps else 0.0

    def _update(self) -> None:
        walks, scores, old = zip(*self._waiting, strict=True)
        self._waiting = []
        advantages = normal_scores_in(self._scores, scores)
        best = [steps for _, _, steps in self._best]
        new, replayed = len(walks), len(best)
        by_entropies = np.repeat([-self._entropy / new, 0.0], [new, replayed])
        by_replayed = np.full(replayed, -self._replay / replayed)
        for _ in range(self._epochs):
            likelihood = self._policy.likelihood([*walks, *best])
            _, by_log_probs = clipped_loss(likelihood.log_probs[:new], np.array(old), advantages, self._clip)
            self._adam.descend(likelihood.gradient(np.concatenate((by_log_probs, by_replayed)), by_entropies))


def clipped_loss(log_probs: Array, old: Array, advantages: Array, clip: float) -> tuple[float, Array]:
    """PPO's clipped surrogate, to be minimised, and its derivatives by `log_probs`.

    All (walks,), `old` the log-probabilities when they were proposed. Where the ratio is 1 the derivatives are those of
    `policy_gradient.policy_loss`; they are zero where it is beyond the clip on the side that the advantage pulls to.
    """
    ratio = np.exp(np.minimum(log_probs - old, MOST))
    loss = -float(np.mean(np.minimum(ratio * advantages, np.clip(ratio, 1 - clip, 1 + clip) * advantages)))
    moves = np.where(advantages > 0, ratio <= 1 + clip, ratio >= 1 - clip)
    return loss, -ratio * advantages * moves / len(advantages)


def normal_scores_in(told: Sequence[float], values: Sequence[float]) -> Array:
    """What `predictor.normal_scores` gives some of the values told, which are sorted, without ranking all anew."""
    ranks = [(bisect_left(told, value) + bisect_right(told, value) + 1) / 2 for value in values]
    return normal_quantiles(ranks, len(told))
