"""REINFORCE for small budgets, with PPO clipping, replay of the best trials and a surrogate model."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from nas.architecture import Architecture
from nas.bounds import LARGEST_RATE, check_number
from nas.protocols import SearchSpace, ZeroCost
from nas.space import sample
from nas.trial import Trial

from .genetic.operators import MOST_TRIALS
from .policies.likelihood import Array, Step
from .policies.policy import Policy, trajectory_of
from .policies.policy_gradient import check_lstm_size, update_measurements
from .policies.table import TablePolicy
from .surrogate.pool_selection import PoolSelection
from .surrogate.predictor import MOST_POOLED, Predictor, encodings, normal_quantiles
from .surrogate.zero_cost_features import FeaturesOf
from .without_replacement import Unseen

LARGEST_LOG_RATIO = 100.0
"""Logarithms of probability ratios are clipped here: the square of the exponential of a large one would overflow."""


class Scored(NamedTuple):
    """A scored trial of the batch: its trajectory, score, and log-probability under the policy that proposed it."""

    trajectory: list[Step]
    score: float
    log_prob: float


class Reinforce:
    """Williams' policy gradient (1992) for searches of tens to thousands of candidates.

    Rewards are the normal scores of the ranks among all scores told, so neither their unit nor the scores of bad
    candidates matter. No network is proposed twice while another is left (with a `pool` of 1, no architecture); then
    `ask` returns fewer than it is asked for. A trial that was not asked for (a warm start) counts as if the present
    policy had proposed it. A trial without a finite score changes nothing.

    Args:
        space: Search space.
        seed: Seed of the policy and of the proposals.
        policy: 'table': an independent softmax for each choice, which a hundred candidates can train; 'lstm': one
            choice after another, as in Zoph & Le (arXiv 1611.01578), which needs more of them, and torch.
        lr: Learning rate of Adam, above 0.
        batch: Scored trials to an update, from 1.
        epochs: Gradient steps on a batch, from 1.
        clip: PPO's clipping ε of the ratio of new to old probabilities, above 0 (Schulman et al., arXiv 1707.06347,
            equation 7). The old policy is the one that proposed the trial, so late results are weighted by
            importance sampling.
        entropy: Weight of the policy's entropy, from 0. Its gradient is unbiased for trajectories that the policy
            draws, and is taken along those that were proposed.
        replay: Weight, from 0, of the likelihood of the `best` trials (Abolafia et al., arXiv 1801.03526).
        best: Trials that are replayed, from 1.
        pool: Samples of the policy that the predictor chooses from, from 1; at 1 the predictor is not used. The better
            half of those that were not chosen enters the next pool.
        fresh: Fraction of the pool that is sampled uniformly instead, in [0, 1].
        first: Uniform samples before the policy is used, from 1.
        hidden: Width of the LSTM, from 1 to 4096; for policy 'lstm'.
        layers: Layers of the LSTM, from 1 to 16; for policy 'lstm'.
        zero_cost: Zero-cost scores that the predictor uses too: synflow, naswot, grad-norm, parameters.
        features: Function that computes them; a search passes its evaluator's (`nas.protocols.Featured.features`).
    """

    name = "reinforce"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        policy: Literal["lstm", "table"] = "table",
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
        check_lstm_size(self.name, hidden, layers)
        self._space = space
        self._batch_size, self._epochs, self._clip = batch, epochs, clip
        self._entropy, self._replay, self._num_best = entropy, replay, best
        self._pool, self._fresh, self._first = pool, fresh, first
        self._policy: Policy
        if policy == "table":
            self._policy = TablePolicy(seed=seed, lr=lr)
        else:
            from .policies.lstm import LstmPolicy  # imports torch

            self._policy = LstmPolicy(seed=seed, lr=lr, hidden=hidden, layers=layers)
        self._unseen = Unseen(space, seed=seed, networks=pool > 1)
        self._predictor = Predictor(encodings(space, zero_cost, features))
        self._selection = PoolSelection(self._unseen, self._predictor, pool)
        self._proposed: dict[Architecture, float] = {}  # log-probabilities of pending proposals when they were made
        self._scores: list[float] = []  # in rising order
        self._batch: list[Scored] = []
        self._best: list[tuple[float, int, list[Step]]] = []  # (-score, number, trajectory), the best first
        self._measured: Mapping[str, float] = {}

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        proposals = list(self._unseen.propose(n, self._propose))
        self._proposed |= {each: self._log_prob(trajectory_of(self._space, each)) for each in proposals}
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """Updates the policy whenever a batch of scored trials is full, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            trajectory = trajectory_of(self._space, trial.architecture)
            self._unseen.see(trial.architecture)
            if not trajectory:
                continue  # a space without a choice leaves nothing to learn
            if self._pool > 1:
                self._predictor.tell(trial.architecture, trial.value, trial.stderr)
                self._selection.tell(trial.architecture, trial.value)
            insort(self._scores, trial.value)
            self._best = sorted([*self._best, (-trial.value, len(self._scores), trajectory)])[: self._num_best]
            log_prob = self._proposed.pop(trial.architecture, None)
            if log_prob is None:
                log_prob = self._log_prob(trajectory)
            self._batch.append(Scored(trajectory, trial.value, log_prob))
            if len(self._batch) == self._batch_size:
                self._update()

    def measurements(self) -> Mapping[str, float]:
        """Numbers of the last update (`update_measurements`) and of the predictor (`PoolSelection.measurements`)."""
        return {**self._measured, **self._selection.measurements()}

    def _propose(self, rng: random.Random) -> Architecture | None:
        if len(self._scores) < self._first:
            return self._unseen.draw(lambda: sample(self._space, rng), rng)
        if self._pool == 1:
            return self._unseen.draw(lambda: self._policy.sample(self._space, rng), rng)
        return self._selection.choose(lambda: self._sample(rng), rng)

    def _sample(self, rng: random.Random) -> Architecture:
        return sample(self._space, rng) if rng.random() < self._fresh else self._policy.sample(self._space, rng)

    def _log_prob(self, trajectory: Sequence[Step]) -> float:
        return float(self._policy.likelihood([trajectory]).log_probs[0]) if trajectory else 0.0

    def _update(self) -> None:
        trajectories, scores, old_log_probs = zip(*self._batch, strict=True)
        self._batch = []
        advantages = ranked_rewards(self._scores, scores)
        best = [trajectory for _, _, trajectory in self._best]
        new, replayed = len(trajectories), len(best)
        entropy_weights = np.repeat([-self._entropy / new, 0.0], [new, replayed])
        grad_replayed = np.full(replayed, -self._replay / replayed)
        for epoch in range(self._epochs):
            likelihood = self._policy.likelihood([*trajectories, *best])
            if epoch == 0:
                self._measured = update_measurements(likelihood.entropies[:new], advantages)
            _, grad_new = clipped_loss(likelihood.log_probs[:new], np.array(old_log_probs), advantages, self._clip)
            self._policy.step(likelihood.gradient(np.concatenate((grad_new, grad_replayed)), entropy_weights))


def clipped_loss(log_probs: Array, old_log_probs: Array, advantages: Array, clip: float) -> tuple[float, Array]:
    """PPO's clipped surrogate loss, -mean(min(r A, clip(r, 1 - ε, 1 + ε) A)) with r = π / π_old.

    Schulman et al., "Proximal Policy Optimization Algorithms" (arXiv 1707.06347), equation 7. Where r = 1 its
    derivatives are those of `policy_gradient.policy_loss`.

    Args:
        log_probs: Log-probabilities log π of the trajectories, (trajectories,).
        old_log_probs: Log-probabilities log π_old when they were proposed, (trajectories,).
        advantages: Advantages A, (trajectories,).
        clip: Clipping range ε, above 0.

    Returns:
        The loss, and its derivatives by `log_probs` (trajectories,). These are zero where the ratio is beyond the
        clipping range on the side to which the advantage pulls.
    """
    ratio = np.exp(np.minimum(log_probs - old_log_probs, LARGEST_LOG_RATIO))
    loss = -float(np.mean(np.minimum(ratio * advantages, np.clip(ratio, 1 - clip, 1 + clip) * advantages)))
    unclipped = np.where(advantages > 0, ratio <= 1 + clip, ratio >= 1 - clip)
    return loss, -ratio * advantages * unclipped / len(advantages)


def ranked_rewards(scores: Sequence[float], values: Sequence[float]) -> Array:
    """Normal scores of some values by their ranks among all scores, as `predictor.normal_scores` has them.

    Args:
        scores: All scores, in rising order.
        values: Some of them.

    Returns:
        Normal scores, (values,); the others are not ranked again.
    """
    ranks = [(bisect_left(scores, value) + bisect_right(scores, value) + 1) / 2 for value in values]
    return normal_quantiles(ranks, len(scores))
