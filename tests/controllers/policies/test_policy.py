"""Tests of the policies against their definitions, over all architectures of a small conditional space."""

import random
from itertools import product

import numpy as np
import pytest
import torch

from nas.controllers.policies.likelihood import Step
from nas.controllers.policies.lstm import INIT_RANGE, LstmPolicy
from nas.controllers.policies.policy import trajectory_of
from nas.controllers.policies.policy_gradient import policy_loss
from nas.controllers.policies.table import TablePolicy
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
TRAJECTORIES = [trajectory_of(SPACE, architecture) for architecture in ALL]
REWARDS = np.array([0.1, 0.9, 0.3, 0.5, 0.2, 0.8, 0.6])


def values_of(policy):
    """Copies of a policy's parameters as numpy arrays, by name."""
    return {
        name: (value.detach().numpy() if isinstance(value, torch.Tensor) else value).copy()
        for name, value in policy.parameters.items()
    }


def set_values(policy, values):
    for name, array in values.items():
        if isinstance(policy, TablePolicy):
            policy.parameters[name] = array
        else:
            with torch.no_grad():
                policy.parameters[name].copy_(torch.from_numpy(array))


@pytest.fixture
def lstm():
    """A policy far from uniform."""
    policy = LstmPolicy(seed=1, lr=0.1, hidden=6, layers=2, dtype=torch.float64)
    policy.likelihood(TRAJECTORIES)
    set_values(policy, {name: 12 * array for name, array in values_of(policy).items()})
    return policy


@pytest.fixture
def table():
    policy = TablePolicy(seed=5, lr=0.1, spread=1.5)
    policy.likelihood(TRAJECTORIES)
    return policy


@pytest.fixture(params=["lstm", "table"])
def policy(request):
    return request.getfixturevalue(request.param)


def test_probabilities_of_all_architectures_sum_to_one(policy):
    probabilities = np.exp(policy.likelihood(TRAJECTORIES).log_probs)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert probabilities.max() > 2 * probabilities.min()


def test_samples_are_as_frequent_as_their_probability(policy):
    draws = 3000
    rng = random.Random(0)
    drawn = [policy.sample(SPACE, rng) for _ in range(draws)]
    probabilities = np.exp(policy.likelihood(TRAJECTORIES).log_probs)
    chi_square = sum(
        (drawn.count(architecture) - draws * p) ** 2 / (draws * p)
        for architecture, p in zip(ALL, probabilities, strict=True)
    )
    assert chi_square < 27.9  # exceeded once in 10,000 with 6 degrees of freedom


def lstm_logits(values, steps):
    """Logits of each step of a trajectory, by the equations of an LSTM of two layers."""
    hidden, cell = [torch.zeros(6, dtype=torch.double)] * 2, [torch.zeros(6, dtype=torch.double)] * 2
    read = values["start"][0]
    for step in steps:
        for layer in range(2):
            w_ih, w_hh, b_ih, b_hh = (
                values[f"lstm {name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            i, f, g, o = (w_ih @ read + b_ih + w_hh @ hidden[layer] + b_hh).chunk(4)
            cell[layer] = f.sigmoid() * cell[layer] + i.sigmoid() * g.tanh()
            read = hidden[layer] = o.sigmoid() * cell[layer].tanh()
        yield values[f"weight {step.options} {step.name}"] @ read + values[f"bias {step.options} {step.name}"]
        read = values[f"embedding {step.options} {step.name}"][step.index]


def table_logits(values, steps):
    return [values[f"{step.options} {step.name}"] for step in steps]


def by_definition(policy, trajectories):
    """Log-probabilities and entropies of each step of each trajectory, and the tensors that torch has them from."""
    values = {name: torch.tensor(array, requires_grad=True) for name, array in values_of(policy).items()}
    logits_of = lstm_logits if isinstance(policy, LstmPolicy) else table_logits
    log_probs, entropies = [], []
    for steps in trajectories:
        chances = [logits.exp() / logits.exp().sum() for logits in logits_of(values, steps)]
        log_probs.append([p[step.index].log() for p, step in zip(chances, steps, strict=True)])
        entropies.append([-(p * p.log()).sum() for p in chances])
    return log_probs, entropies, values


def entropy_by_definition(trajectories, log_probs, entropies, weights):
    """What has the entropy bonus's gradient: the steps' entropies, and the log-probability of each step times the
    entropies after it, less those that the other weighted trajectories have after the same choice, in the mean."""

    def after(trajectory, place):
        return sum(one.item() for one in entropies[trajectory][place + 1 :])

    met = {(step.name, step.options): [] for steps in trajectories for step in steps}
    for trajectory, steps in enumerate(trajectories):
        for place, step in enumerate(steps):
            met[step.name, step.options] += [(trajectory, after(trajectory, place))] if weights[trajectory] else []
    total = torch.zeros((), dtype=torch.double)
    for trajectory, steps in enumerate(trajectories):
        for place, step in enumerate(steps):
            others = [value for other, value in met[step.name, step.options] if other != trajectory]
            ahead = after(trajectory, place) - (sum(others) / len(others) if others else 0)
            total = total + weights[trajectory] * (entropies[trajectory][place] + ahead * log_probs[trajectory][place])
    return total


# Different lengths, one trajectory twice, choices that share a name; and some that do not meet all choices.
BATCHES = {
    "all": [*TRAJECTORIES, TRAJECTORIES[0][:1], TRAJECTORIES[5]],
    "some": [TRAJECTORIES[2], TRAJECTORIES[1], TRAJECTORIES[2][:1]],
    "one": [TRAJECTORIES[-1]],
}


@pytest.mark.parametrize("trajectories", BATCHES.values(), ids=BATCHES)
def test_log_probs_and_entropies_are_those_of_the_definition(policy, trajectories):
    found = policy.likelihood(trajectories)
    log_probs, entropies, _ = by_definition(policy, trajectories)
    np.testing.assert_allclose(found.log_probs, [sum(one).item() for one in log_probs], rtol=1e-10)
    np.testing.assert_allclose(found.entropies, [sum(one).item() for one in entropies], rtol=1e-10)


@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (0, 1)], ids=["both", "log_probs", "entropies"])
@pytest.mark.parametrize("trajectories", BATCHES.values(), ids=BATCHES)
def test_gradients_are_those_of_autograd(policy, trajectories, weights):
    rng = np.random.default_rng(0)
    by_log_probs, by_entropies = (weight * rng.normal(size=len(trajectories)) for weight in weights)
    by_entropies[1:2] = 0  # as of a trajectory that is replayed
    found = policy.likelihood(trajectories).gradient(by_log_probs, by_entropies)
    log_probs, entropies, values = by_definition(policy, trajectories)
    loss = sum(by * sum(one) for by, one in zip(by_log_probs, log_probs, strict=True))
    loss = loss + entropy_by_definition(trajectories, log_probs, entropies, by_entropies)
    loss.backward()
    assert max(abs(gradient).max() for gradient in found.values()) > 1e-3
    for name, value in values.items():
        if value.grad is None:
            # What was not met has no gradient; of a choice that no trajectory goes on from, the embeddings have zeros.
            assert name not in found or (name.startswith("embedding") and not found[name].any())
        else:
            np.testing.assert_allclose(found[name], value.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("baseline", [0.0, 0.55])
def test_the_expected_gradient_is_that_of_the_expected_reward(policy, baseline):
    """Sum over all architectures of p R grad log p, and a central difference of sum p R along a random direction."""
    probabilities = np.exp(policy.likelihood(TRAJECTORIES).log_probs)
    estimate = {name: np.zeros_like(array) for name, array in values_of(policy).items()}
    for steps, p, reward in zip(TRAJECTORIES, probabilities, REWARDS, strict=True):
        likelihood = policy.likelihood([steps])
        _, by_log_probs = policy_loss(likelihood.log_probs, np.array([reward - baseline]))
        for name, gradient in likelihood.gradient(by_log_probs, np.zeros(1)).items():
            estimate[name] -= p * gradient

    rng, before = np.random.default_rng(0), values_of(policy)
    direction = {name: rng.normal(size=array.shape) for name, array in before.items()}
    expected = []
    for size in (1e-4, -1e-4):
        set_values(policy, {name: array + size * direction[name] for name, array in before.items()})
        expected.append(np.exp(policy.likelihood(TRAJECTORIES).log_probs) @ REWARDS)
    slope = (expected[0] - expected[1]) / 2e-4
    assert abs(slope) > 0.01
    assert sum((estimate[name] * direction[name]).sum() for name in before) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_expected_entropy_bonus_is_the_gradient_of_the_policys_entropy(policy, batch):
    """The mean over all batches of independent trajectories, against torch's gradient of -sum p log p."""
    probabilities = np.exp(policy.likelihood(TRAJECTORIES).log_probs)
    found = {name: np.zeros_like(array) for name, array in values_of(policy).items()}
    for chosen in product(range(len(TRAJECTORIES)), repeat=batch):
        likelihood = policy.likelihood([TRAJECTORIES[one] for one in chosen])
        weight = np.prod(probabilities[list(chosen)])
        for name, gradient in likelihood.gradient(np.zeros(batch), np.full(batch, 1 / batch)).items():
            found[name] += weight * gradient

    log_probs, entropies, values = by_definition(policy, TRAJECTORIES)
    logs = torch.stack([sum(one) for one in log_probs])
    exact = -(logs.exp() * logs).sum()
    assert exact.item() == pytest.approx(probabilities @ [sum(one).item() for one in entropies], abs=1e-12)
    exact.backward()
    for name, value in values.items():
        expected = np.zeros_like(found[name]) if value.grad is None else value.grad.numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-10)


def test_in_single_precision_the_lstm_has_the_same_likelihood_and_gradient(lstm):
    single = LstmPolicy(seed=0, lr=0.1, hidden=6, layers=2)
    single.likelihood(TRAJECTORIES)
    set_values(single, values_of(lstm))
    both = [policy.likelihood(TRAJECTORIES) for policy in (lstm, single)]
    np.testing.assert_allclose(both[1].log_probs, both[0].log_probs, rtol=1e-5)
    np.testing.assert_allclose(both[1].entropies, both[0].entropies, rtol=1e-5)
    expected, gradient = (each.gradient(REWARDS, -REWARDS) for each in both)
    assert expected.keys() == gradient.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(gradient[name], array, rtol=1e-4, atol=1e-5)


def test_where_no_choice_hangs_on_another_the_entropy_bonus_has_no_noise():
    """Each batch's gradient is then that of the policy's entropy; a score function without baseline would scatter."""
    policy, rng = TablePolicy(seed=3, lr=0.1, spread=1.5), random.Random(0)
    trajectories = [[Step(name, 4, rng.randrange(4)) for name in "abc"] for _ in range(5)]
    found = policy.likelihood(trajectories).gradient(np.zeros(5), np.full(5, 0.2))
    for name in "abc":
        p = np.exp(policy.parameters[f"4 {name}"])
        p /= p.sum()
        expected = -p * (np.log(p) - p @ np.log(p))
        np.testing.assert_allclose(found[f"4 {name}"], expected, rtol=1e-10, atol=1e-12)


def test_trajectories_of_a_batch_do_not_influence_each_other(policy):
    together, alone = policy.likelihood(TRAJECTORIES), [policy.likelihood([steps]) for steps in TRAJECTORIES]
    np.testing.assert_allclose(together.log_probs, [one.log_probs[0] for one in alone], rtol=1e-12)
    np.testing.assert_allclose(together.entropies, [one.entropies[0] for one in alone], rtol=1e-12)


SMALL = {
    "lstm": lambda seed: LstmPolicy(seed=seed, lr=0.1, hidden=6, layers=1),
    "table": lambda seed: TablePolicy(seed=seed, lr=0.1, spread=1.0),
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_the_order_in_which_choices_are_met_does_not_matter(make):
    forwards, backwards = make(3), make(3)
    for steps in TRAJECTORIES:
        forwards.likelihood([steps])
    for _ in range(20):
        backwards.sample(SPACE, random.Random(0))
    backwards.likelihood(TRAJECTORIES[::-1])
    assert forwards.parameters.keys() == backwards.parameters.keys()
    others = values_of(backwards)
    for name, array in values_of(forwards).items():
        assert np.array_equal(array, others[name])


def test_parameters_start_uniform_and_differ_by_seed_and_name():
    policies = [LstmPolicy(seed=seed, lr=0.1, hidden=40, layers=2) for seed in (0, 1)]
    for policy in policies:
        policy.likelihood(TRAJECTORIES)
    values, others = map(values_of, policies)
    drawn = np.concatenate([array.ravel() for array in values.values()])
    assert INIT_RANGE * 0.99 < abs(drawn).max() <= INIT_RANGE
    assert drawn.std() == pytest.approx(INIT_RANGE / 3**0.5, rel=0.02)
    assert {array.dtype for array in values.values()} == {np.dtype(np.float32)}
    assert not np.array_equal(values["weight 2 a"], others["weight 2 a"])
    assert not np.array_equal(values["weight 2 a"], values["weight 2 b"])


def test_a_table_starts_as_spread_as_it_is_told_and_forgets_its_probabilities_when_moved():
    even, wide = TablePolicy(seed=0, lr=0.1), TablePolicy(seed=0, lr=0.1, spread=0.001)
    trajectory = [[Step("a", 20_000, 0)]]
    for made in (even, wide):
        made.likelihood(trajectory)
    assert not even.parameters["20000 a"].any()
    assert wide.parameters["20000 a"].std() == pytest.approx(0.001, rel=0.05)

    table = TablePolicy(seed=0, lr=0.1)
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {0, 1}
    table.parameters["2 a"] = np.array([0.0, 50.0])
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {1}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_adam_moves_what_was_met_and_nothing_else(make):
    policy = make(0)
    policy.likelihood(TRAJECTORIES)
    before = values_of(policy)
    first, second = [Step("a", 2, 0), Step("b", 3, 1)], [Step("new", 4, 2)]
    for trajectory in (first, second):
        policy.step(policy.likelihood([trajectory]).gradient(-np.ones(1), np.zeros(1)))
    after = values_of(policy)
    moved = {name for name, array in before.items() if not np.array_equal(array, after[name])}
    untouched = {name for name in before if name.endswith((" 2 b", " 2 c")) or name in ("2 b", "2 c")}
    assert untouched
    assert not moved & untouched
    assert any(name.endswith("2 a") for name in moved)
    # Parameters of a choice that first occurs later are trained too.
    assert policy.likelihood([second]).log_probs[0] > make(0).likelihood([second]).log_probs[0] + 0.05


def test_what_the_space_rejects_is_drawn_again():
    class Picky:
        name = "picky"

        def decide(self, choose):
            if choose("a", range(3)) != 1:
                choose.reject("only 1 will do")

    policy = LstmPolicy(seed=0, lr=0.1, hidden=6, layers=1)
    assert {policy.sample(Picky(), random.Random(k)).picks["a"] for k in range(20)} == {1}


def test_a_policy_that_only_makes_rejected_trajectories_gives_way_to_uniform_sampling():
    class Edge:
        name = "edge"

        def decide(self, choose):
            if choose("a", range(4)) == 0:
                choose.reject("not 0")

    policy = LstmPolicy(seed=0, lr=0.1, hidden=6, layers=1)
    policy.likelihood([[Step("a", 4, 0)]])
    set_values(policy, {"bias 4 a": np.array([50.0, 0.0, 0.0, 0.0])})
    assert {policy.sample(Edge(), random.Random(k)).picks["a"] for k in range(20)} == {1, 2, 3}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_what_is_all_but_certain_leaves_no_warning_and_a_gradient_of_numbers(make):
    policy, trajectory = make(0), [Step("a", 2, 0)]
    policy.likelihood([trajectory])
    name = "2 a" if "2 a" in policy.parameters else "bias 2 a"
    set_values(policy, {name: np.array([-2000.0, 2000.0])})
    found = policy.likelihood([trajectory])
    assert found.log_probs[0] == pytest.approx(-4000, rel=0.01)
    assert found.entropies[0] == 0
    np.testing.assert_allclose(found.gradient(np.ones(1), np.ones(1))[name], [1, -1])


def test_a_space_that_rejects_everything_ends_with_its_reason():
    class Impossible:
        name = "impossible"

        def decide(self, choose):
            choose.reject("nothing will do")

    with pytest.raises(SpaceError, match="nothing will do"):
        LstmPolicy(seed=0, lr=0.1, hidden=6, layers=1).sample(Impossible(), random.Random(0))


def trained(threads):
    """Parameters after a few steps of an LSTM policy wide enough for torch to use several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        policy = LstmPolicy(seed=0, lr=0.01, hidden=300, layers=2)
        samples = [policy.sample(SPACE, random.Random(k)) for k in range(5)]
        for _ in range(2):
            likelihood = policy.likelihood(TRAJECTORIES)
            policy.step(likelihood.gradient(-REWARDS, np.full(len(REWARDS), -0.1)))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    return samples, values_of(policy)


def test_the_number_of_threads_changes_nothing_and_is_restored():
    (samples, one), (others, two) = trained(1), trained(2)
    assert samples == others
    for name, array in one.items():
        assert np.array_equal(array, two[name])


def test_the_lstm_leaves_the_grad_mode_of_its_caller_alone():
    policy = LstmPolicy(seed=0, lr=0.1, hidden=6, layers=1)
    with torch.no_grad():
        gradient = policy.likelihood(TRAJECTORIES).gradient(-REWARDS, np.zeros(len(REWARDS)))
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert abs(gradient["weight 2 a"]).max() > 1e-6
