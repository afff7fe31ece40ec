"""The policies against their definitions: every architecture of a small conditional space, and torch's autograd."""

import random
from itertools import product

import numpy as np
import pytest
import torch

from nas.controllers.policies.adam import Adam
from nas.controllers.policies.likelihood import Step
from nas.controllers.policies.policy import INIT_RANGE, LstmPolicy, TablePolicy, steps_of
from nas.controllers.policies.policy_gradient import policy_loss
from nas.errors import SpaceError
from nas.space import enumerate_all


class Branching:
    """Seven architectures; 'b' has two or three options, and only one branch opens 'c'."""

    name = "branching"

    def decide(self, choose):
        if choose("a", (0, 1)) == 0:
            return choose("b", range(3))
        return choose("b", range(2)), choose("c", range(2))


SPACE = Branching()
ALL = list(enumerate_all(SPACE))
WALKS = [steps_of(SPACE, architecture) for architecture in ALL]
REWARDS = np.array([0.1, 0.9, 0.3, 0.5, 0.2, 0.8, 0.6])


@pytest.fixture
def lstm():
    """A policy far from uniform."""
    made = LstmPolicy(seed=1, hidden=6, layers=2)
    made.likelihood(WALKS)
    for name, array in made.parameters.items():
        made.parameters[name] = 12 * array
    return made


@pytest.fixture
def table():
    made = TablePolicy(seed=5, spread=1.5)
    made.likelihood(WALKS)
    return made


@pytest.fixture(params=["lstm", "table"])
def policy(request):
    return request.getfixturevalue(request.param)


def test_probabilities_of_all_architectures_sum_to_one(policy):
    probabilities = np.exp(policy.likelihood(WALKS).log_probs)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert probabilities.max() > 2 * probabilities.min()


def test_samples_are_as_frequent_as_their_probability(policy):
    draws = 3000
    rng = random.Random(0)
    drawn = [policy.sample(SPACE, rng) for _ in range(draws)]
    probabilities = np.exp(policy.likelihood(WALKS).log_probs)
    chi_square = sum(
        (drawn.count(architecture) - draws * p) ** 2 / (draws * p)
        for architecture, p in zip(ALL, probabilities, strict=True)
    )
    assert chi_square < 27.9  # exceeded once in 10,000 with 6 degrees of freedom


def lstm_logits(values, steps):
    """Of each step of a walk, by the equations of an LSTM of two layers."""
    hidden, cell = [torch.zeros(6, dtype=torch.double)] * 2, [torch.zeros(6, dtype=torch.double)] * 2
    read = values["start"][0]
    for step in steps:
        for layer in range(2):
            by_read, by_last, bias = values[f"lstm {layer}"].split([6, 6, 1])
            i, f, o, g = (read @ by_read + hidden[layer] @ by_last + bias[0]).chunk(4)
            cell[layer] = f.sigmoid() * cell[layer] + i.sigmoid() * g.tanh()
            read = hidden[layer] = o.sigmoid() * cell[layer].tanh()
        yield values[f"weight {step.options} {step.name}"] @ read + values[f"bias {step.options} {step.name}"]
        read = values[f"embedding {step.options} {step.name}"][step.index]


def table_logits(values, steps):
    return [values[f"{step.options} {step.name}"] for step in steps]


def by_definition(policy, walks):
    """Log-probabilities and entropies of each step of each walk, and the tensors that torch has them from."""
    values = {name: torch.tensor(array, requires_grad=True) for name, array in policy.parameters.items()}
    logits_of = lstm_logits if isinstance(policy, LstmPolicy) else table_logits
    log_probs, entropies = [], []
    for steps in walks:
        chances = [logits.exp() / logits.exp().sum() for logits in logits_of(values, steps)]
        log_probs.append([p[step.index].log() for p, step in zip(chances, steps, strict=True)])
        entropies.append([-(p * p.log()).sum() for p in chances])
    return log_probs, entropies, values


def entropy_by_definition(walks, log_probs, entropies, weights):
    """What has the entropy bonus's gradient: the steps' entropies, and the log-probability of each step times the
    entropies after it, less those that the other weighted walks have after the same choice, in the mean."""

    def after(walk, place):
        return sum(one.item() for one in entropies[walk][place + 1 :])

    met = {(step.name, step.options): [] for steps in walks for step in steps}
    for walk, steps in enumerate(walks):
        for place, step in enumerate(steps):
            met[step.name, step.options] += [(walk, after(walk, place))] if weights[walk] else []
    total = torch.zeros((), dtype=torch.double)
    for walk, steps in enumerate(walks):
        for place, step in enumerate(steps):
            others = [value for other, value in met[step.name, step.options] if other != walk]
            ahead = after(walk, place) - (sum(others) / len(others) if others else 0)
            total = total + weights[walk] * (entropies[walk][place] + ahead * log_probs[walk][place])
    return total


# Different lengths, one walk twice, choices that share a name; and some that do not meet all choices.
BATCHES = {"all": [*WALKS, WALKS[0][:1], WALKS[5]], "some": [WALKS[2], WALKS[1], WALKS[2][:1]], "one": [WALKS[-1]]}


@pytest.mark.parametrize("walks", BATCHES.values(), ids=BATCHES)
def test_log_probs_and_entropies_are_those_of_the_definition(policy, walks):
    found = policy.likelihood(walks)
    log_probs, entropies, _ = by_definition(policy, walks)
    np.testing.assert_allclose(found.log_probs, [sum(one).item() for one in log_probs], rtol=1e-10)
    np.testing.assert_allclose(found.entropies, [sum(one).item() for one in entropies], rtol=1e-10)


@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (0, 1)], ids=["both", "log_probs", "entropies"])
@pytest.mark.parametrize("walks", BATCHES.values(), ids=BATCHES)
def test_gradients_are_those_of_autograd(policy, walks, weights):
    rng = np.random.default_rng(0)
    by_log_probs, by_entropies = (weight * rng.normal(size=len(walks)) for weight in weights)
    by_entropies[1:2] = 0  # as of a walk that is replayed
    found = policy.likelihood(walks).gradient(by_log_probs, by_entropies)
    log_probs, entropies, values = by_definition(policy, walks)
    loss = sum(by * sum(one) for by, one in zip(by_log_probs, log_probs, strict=True))
    loss = loss + entropy_by_definition(walks, log_probs, entropies, by_entropies)
    loss.backward()
    assert max(abs(gradient).max() for gradient in found.values()) > 1e-3
    for name, value in values.items():
        if value.grad is None:
            # What was not met has no gradient; of a choice that no walk goes on from, the embeddings have zeros.
            assert name not in found or (name.startswith("embedding") and not found[name].any())
        else:
            np.testing.assert_allclose(found[name], value.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("baseline", [0.0, 0.55])
def test_the_expected_gradient_is_that_of_the_expected_reward(policy, baseline):
    """Sum over all architectures of p R grad log p, and a central difference of sum p R along a random direction."""
    probabilities = np.exp(policy.likelihood(WALKS).log_probs)
    estimate = {name: np.zeros_like(array) for name, array in policy.parameters.items()}
    for steps, p, reward in zip(WALKS, probabilities, REWARDS, strict=True):
        likelihood = policy.likelihood([steps])
        _, by_log_probs = policy_loss(likelihood.log_probs, np.array([reward - baseline]))
        for name, gradient in likelihood.gradient(by_log_probs, np.zeros(1)).items():
            estimate[name] -= p * gradient

    rng, before = np.random.default_rng(0), dict(policy.parameters)
    direction = {name: rng.normal(size=array.shape) for name, array in before.items()}
    expected = []
    for size in (1e-4, -1e-4):
        policy.parameters.update({name: array + size * direction[name] for name, array in before.items()})
        expected.append(np.exp(policy.likelihood(WALKS).log_probs) @ REWARDS)
    slope = (expected[0] - expected[1]) / 2e-4
    assert abs(slope) > 0.01
    assert sum((estimate[name] * direction[name]).sum() for name in before) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_expected_entropy_bonus_is_the_gradient_of_the_policys_entropy(policy, batch):
    """Over all batches of independent walks, by how likely each batch is; and torch's gradient of -sum p log p."""
    probabilities = np.exp(policy.likelihood(WALKS).log_probs)
    found = {name: np.zeros_like(array) for name, array in policy.parameters.items()}
    for chosen in product(range(len(WALKS)), repeat=batch):
        likelihood = policy.likelihood([WALKS[one] for one in chosen])
        weight = np.prod(probabilities[list(chosen)])
        for name, gradient in likelihood.gradient(np.zeros(batch), np.full(batch, 1 / batch)).items():
            found[name] += weight * gradient

    log_probs, entropies, values = by_definition(policy, WALKS)
    logs = torch.stack([sum(one) for one in log_probs])
    exact = -(logs.exp() * logs).sum()
    assert exact.item() == pytest.approx(probabilities @ [sum(one).item() for one in entropies], abs=1e-12)
    exact.backward()
    for name, value in values.items():
        expected = np.zeros_like(found[name]) if value.grad is None else value.grad.numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-10)


def test_where_no_choice_hangs_on_another_the_entropy_bonus_has_no_noise():
    """Each batch's gradient is then that of the policy's entropy; a score function without baseline would scatter."""
    policy, rng = TablePolicy(seed=3, spread=1.5), random.Random(0)
    walks = [[Step(name, 4, rng.randrange(4)) for name in "abc"] for _ in range(5)]
    found = policy.likelihood(walks).gradient(np.zeros(5), np.full(5, 0.2))
    for name in "abc":
        p = np.exp(policy.parameters[f"4 {name}"])
        p /= p.sum()
        expected = -p * (np.log(p) - p @ np.log(p))
        np.testing.assert_allclose(found[f"4 {name}"], expected, rtol=1e-10, atol=1e-12)


def test_walks_do_not_touch_each_other(policy):
    together, alone = policy.likelihood(WALKS), [policy.likelihood([steps]) for steps in WALKS]
    np.testing.assert_allclose(together.log_probs, [one.log_probs[0] for one in alone], rtol=1e-12)
    np.testing.assert_allclose(together.entropies, [one.entropies[0] for one in alone], rtol=1e-12)


SMALL = {
    "lstm": lambda seed: LstmPolicy(seed=seed, hidden=6, layers=1),
    "table": lambda seed: TablePolicy(seed=seed, spread=1.0),
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_the_order_in_which_choices_are_met_does_not_matter(make):
    forwards, backwards = make(3), make(3)
    for steps in WALKS:
        forwards.likelihood([steps])
    for _ in range(20):
        backwards.sample(SPACE, random.Random(0))
    backwards.likelihood(WALKS[::-1])
    assert forwards.parameters.keys() == backwards.parameters.keys()
    for name, array in forwards.parameters.items():
        assert np.array_equal(array, backwards.parameters[name])


def test_parameters_start_uniform_and_differ_by_seed_and_name():
    policy, other = LstmPolicy(seed=0, hidden=40, layers=2), LstmPolicy(seed=1, hidden=40, layers=2)
    for made in (policy, other):
        made.likelihood(WALKS)
    values = np.concatenate([array.ravel() for array in policy.parameters.values()])
    assert INIT_RANGE * 0.99 < abs(values).max() <= INIT_RANGE
    assert values.std() == pytest.approx(INIT_RANGE / 3**0.5, rel=0.02)
    assert {array.dtype for array in policy.parameters.values()} == {np.dtype(np.float64)}
    assert not np.array_equal(policy.parameters["weight 2 a"], other.parameters["weight 2 a"])
    assert not np.array_equal(policy.parameters["weight 2 a"], policy.parameters["weight 2 b"])


def test_a_table_starts_as_spread_as_it_is_told_and_forgets_its_probabilities_when_moved():
    even, wide = TablePolicy(seed=0), TablePolicy(seed=0, spread=0.001)
    walk = [[Step("a", 20_000, 0)]]
    for made in (even, wide):
        made.likelihood(walk)
    assert not even.parameters["20000 a"].any()
    assert wide.parameters["20000 a"].std() == pytest.approx(0.001, rel=0.05)

    table = TablePolicy(seed=0)
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {0, 1}
    table.parameters["2 a"] = np.array([0.0, 50.0])
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {1}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_adam_moves_what_was_met_and_nothing_else(make):
    policy = make(0)
    policy.likelihood(WALKS)
    adam = Adam(policy.parameters, 0.1)
    before = {name: array.copy() for name, array in policy.parameters.items()}
    first, second = [Step("a", 2, 0), Step("b", 3, 1)], [Step("new", 4, 2)]
    for walk in (first, second):
        adam.descend(policy.likelihood([walk]).gradient(-np.ones(1), np.zeros(1)))
    moved = {name for name, array in before.items() if not np.array_equal(array, policy.parameters[name])}
    untouched = {name for name in before if name.endswith((" 2 b", " 2 c")) or name in ("2 b", "2 c")}
    assert untouched
    assert not moved & untouched
    assert any(name.endswith("2 a") for name in moved)
    # What was met after Adam was made is trained too.
    assert policy.likelihood([second]).log_probs[0] > make(0).likelihood([second]).log_probs[0] + 0.05


def test_what_the_space_rejects_is_drawn_again():
    class Picky:
        name = "picky"

        def decide(self, choose):
            if choose("a", range(3)) != 1:
                choose.reject("only 1 will do")

    policy = LstmPolicy(seed=0, hidden=6, layers=1)
    assert {policy.sample(Picky(), random.Random(k)).picks["a"] for k in range(20)} == {1}


def test_a_policy_that_only_makes_rejected_walks_gives_way_to_uniform_sampling():
    class Edge:
        name = "edge"

        def decide(self, choose):
            if choose("a", range(4)) == 0:
                choose.reject("not 0")

    policy = LstmPolicy(seed=0, hidden=6, layers=1)
    policy.likelihood([[Step("a", 4, 0)]])
    policy.parameters["bias 4 a"] = np.array([50.0, 0.0, 0.0, 0.0])
    assert {policy.sample(Edge(), random.Random(k)).picks["a"] for k in range(20)} == {1, 2, 3}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_what_is_all_but_certain_leaves_no_warning_and_a_gradient_of_numbers(make):
    policy, walk = make(0), [Step("a", 2, 0)]
    policy.likelihood([walk])
    name = "2 a" if "2 a" in policy.parameters else "bias 2 a"
    policy.parameters[name] = np.array([-2000.0, 2000.0])
    found = policy.likelihood([walk])
    assert found.log_probs[0] == pytest.approx(-4000, rel=0.01)
    assert found.entropies[0] == 0
    np.testing.assert_allclose(found.gradient(np.ones(1), np.ones(1))[name], [1, -1])


def test_a_space_that_rejects_everything_ends_with_its_reason():
    class Impossible:
        name = "impossible"

        def decide(self, choose):
            choose.reject("nothing will do")

    with pytest.raises(SpaceError, match="nothing will do"):
        LstmPolicy(seed=0, hidden=6, layers=1).sample(Impossible(), random.Random(0))
