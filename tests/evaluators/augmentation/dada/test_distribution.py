"""The distribution over augmentations, and its conditional relaxations against rejection sampling."""

import pytest
import torch
from scipy.stats import chisquare, ks_1samp, ks_2samp, logistic

from nas.augmentation_policy import OPERATIONS, AugmentationStep
from nas.evaluators.augmentation.dada.distribution import (
    PAIRS,
    SMALLEST,
    PolicyParameters,
    category_given,
    draw,
    gate_given,
    relaxed_category,
    relaxed_gate,
)

S = 5
SAMPLES = 100_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parameters(sub_policies=S, seed=0):
    values = torch.randn(sub_policies, 3, generator=generator(seed))
    return PolicyParameters(values[:, 0], values[:, 1:], torch.full((sub_policies, 2), 0.5))


def uniform(*shape, seed=1):
    return torch.rand(*shape, generator=generator(seed)).clamp(SMALLEST, 1 - SMALLEST)


def test_sub_policies_are_all_pairs_of_different_operations():
    assert len(PAIRS) == len(set(PAIRS)) == 105
    assert all(0 <= first < second < len(OPERATIONS) for first, second in PAIRS)


def test_draws_follow_the_categorical_and_the_gates():
    p = parameters()
    drawn = draw(p, SAMPLES, generator(2))
    counts = drawn.sub_policies.bincount(minlength=S).double()
    assert chisquare(counts, p.logits.double().softmax(0) * SAMPLES).pvalue > 1e-3
    for s in range(S):
        applied = drawn.applied[drawn.sub_policies == s].double()
        both = torch.tensor([[applied.prod(1).sum(), (applied[:, 0] * (1 - applied[:, 1])).sum()]])
        first, second = p.gates[s].double().sigmoid()
        n = len(applied)
        observed = [*both[0].tolist(), (applied[:, 1] * (1 - applied[:, 0])).sum().item()]
        expected = [n * first * second, n * first * (1 - second), n * (1 - first) * second]
        rest = n - sum(observed), n - sum(expected)
        assert chisquare([*observed, rest[0]], [*map(float, expected), float(rest[1])]).pvalue > 1e-3


def test_draws_are_those_of_the_seed():
    one, same, other = (draw(parameters(), 50, generator(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values(), strict=True))
    assert not torch.equal(one.category, other.category)
    assert not torch.equal(one.category, one.category_again)
    assert one.category.min() >= SMALLEST
    assert one.category.max() <= 1 - SMALLEST


def test_a_relaxed_gate_is_positive_with_its_probability_and_of_logistic_noise():
    logits = torch.tensor([-1.5, 0.0, 0.7])
    z = relaxed_gate(logits, uniform(SAMPLES, 3))
    share = (z > 0).double().mean(0)
    beta = logits.double().sigmoid()
    assert ((share - beta).abs() < 4 * (beta * (1 - beta) / SAMPLES).sqrt()).all()
    for column in range(3):
        assert ks_1samp(z[:, column].numpy(), logistic(loc=float(logits[column])).cdf).pvalue > 1e-3


def test_the_largest_of_a_category_given_is_the_given_one():
    logits, chosen = parameters().logits, torch.randint(S, (SAMPLES,), generator=generator())
    z = category_given(logits, chosen, uniform(SAMPLES, S))
    assert torch.equal(z.argmax(1), chosen)
    assert z.isfinite().all()


@pytest.mark.parametrize("chosen", range(S))
def test_a_category_given_is_distributed_as_by_rejection(chosen):
    logits = parameters().logits
    z = relaxed_category(logits, uniform(4 * SAMPLES, S))
    kept = z[z.argmax(1) == chosen]
    given = category_given(logits, torch.full((len(kept),), chosen), uniform(len(kept), S, seed=5))
    for column in range(S):
        assert ks_2samp(kept[:, column].numpy(), given[:, column].numpy()).pvalue > 1e-3
    covariances = torch.cov(kept.T.double()), torch.cov(given.T.double())
    assert torch.allclose(*covariances, atol=8 * covariances[0].abs().max() / len(kept) ** 0.5)


@pytest.mark.parametrize("applied", [0.0, 1.0])
def test_a_gate_given_has_its_sign_and_is_distributed_as_by_rejection(applied):
    logits = torch.tensor([-1.2, 0.8])
    given = gate_given(logits, torch.full((SAMPLES, 2), applied), uniform(SAMPLES, 2, seed=6))
    assert ((given > 0) == (applied > 0)).double().mean() > 0.9999  # a float32 rounds to 0 now and then
    z = relaxed_gate(logits, uniform(SAMPLES, 2, seed=7))
    for column in range(2):
        kept = z[:, column][(z[:, column] > 0) == (applied > 0)]
        assert ks_2samp(kept.numpy(), given[:, column].numpy()).pvalue > 1e-3


def test_parameters_start_alike_at_one_half():
    p = PolicyParameters.start(torch.device("cpu"))
    assert torch.allclose(p.logits.softmax(0), torch.full((105,), 1 / 105))
    assert torch.equal(p.gates.sigmoid(), torch.full((105, 2), 0.5))
    assert torch.equal(p.magnitudes, torch.full((105, 2), 0.5))


def test_the_best_sub_policies_are_those_of_largest_weight_in_their_order():
    p = PolicyParameters.start(torch.device("cpu"))
    p.logits[[7, 100, 3]] = torch.tensor([2.0, 3.0, 1.0])
    p.gates[100] = torch.tensor([1.0, -2.0])
    p.magnitudes[100] = torch.tensor([0.25, 0.75])
    rows = p.best(4).sub_policies
    assert [[step.operation for step in row.steps] for row in rows] == [
        [OPERATIONS[number] for number in PAIRS[row]] for row in (100, 7, 3, 0)
    ]
    first = OPERATIONS[PAIRS[100][0]]
    assert rows[0].first == AugmentationStep(first, torch.tensor(1.0).sigmoid().item(), 0.25)
    assert len(p.best(105).sub_policies) == 105
