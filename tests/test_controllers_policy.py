"""The policy against its definition: every architecture of a small conditional space, and a step-by-step LSTM."""

import math
import random

import pytest
import torch

from nas.controllers.policy import INIT_RANGE, Adam, LstmPolicy, Step, TablePolicy, one_thread
from nas.controllers.policy_gradient import policy_loss
from nas.errors import SpaceError
from nas.space import enumerate_all, num_options


class Branching:
    """Seven architectures; 'b' has two or three options, and only one branch opens 'c'."""

    name = "branching"

    def decide(self, choose):
        if choose("a", (0, 1)) == 0:
            return choose("b", range(3))
        return choose("b", range(2)), choose("c", range(2))


def walk(architecture, space):
    return [Step(name, size, architecture.picks[name]) for name, size in num_options(space, architecture).items()]


SPACE = Branching()
ALL = list(enumerate_all(SPACE))
WALKS = [walk(architecture, SPACE) for architecture in ALL]
REWARDS = torch.tensor([0.1, 0.9, 0.3, 0.5, 0.2, 0.8, 0.6])


@pytest.fixture
def lstm():
    """A policy far from uniform."""
    made = LstmPolicy(seed=1, hidden=6, layers=2)
    made.log_probs(WALKS)
    with torch.no_grad():
        for tensor in made.parameters.values():
            tensor.mul_(12)
    made.moved()
    return made


@pytest.fixture
def table():
    made = TablePolicy(seed=5, spread=1.5)
    made.log_probs(WALKS)
    return made


@pytest.fixture(params=["lstm", "table"])
def policy(request):
    return request.getfixturevalue(request.param)


def test_probabilities_of_all_architectures_sum_to_one(policy):
    probabilities = policy.log_probs(WALKS)[0].exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    assert probabilities.max() > 2 * probabilities.min()


def test_samples_are_as_frequent_as_their_probability(policy):
    draws = 3000
    rng = random.Random(0)
    drawn = [policy.sample(SPACE, rng) for _ in range(draws)]
    probabilities = policy.log_probs(WALKS)[0].exp().tolist()
    chi_square = sum(
        (drawn.count(architecture) - draws * p) ** 2 / (draws * p)
        for architecture, p in zip(ALL, probabilities, strict=True)
    )
    assert chi_square < 27.9  # exceeded once in 10,000 with 6 degrees of freedom


def test_log_probs_of_a_table_are_those_of_the_definition(table):
    for steps, log_prob, entropy in zip(WALKS, *table.log_probs(WALKS), strict=True):
        total, uncertainty = 0.0, 0.0
        for step in steps:
            logits = table.parameters[f"{step.options} {step.name}"].tolist()
            chances = [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]
            total += math.log(chances[step.index])
            uncertainty -= sum(p * math.log(p) for p in chances)
        assert log_prob.item() == pytest.approx(total, rel=1e-5)
        assert entropy.item() == pytest.approx(uncertainty, rel=1e-5)


def test_log_probs_of_an_lstm_are_those_of_the_definition(lstm):
    values = lstm.parameters
    for steps, log_prob, entropy in zip(WALKS, *lstm.log_probs(WALKS), strict=True):
        hidden = [torch.zeros(6)] * 2
        cell = [torch.zeros(6)] * 2
        read = values["start"][0]
        total, uncertainty = torch.zeros(()), torch.zeros(())
        for name, options, index in ((s.name, s.options, s.index) for s in steps):
            for layer in range(2):
                gates = (
                    values[f"lstm.weight_ih_l{layer}"] @ read
                    + values[f"lstm.bias_ih_l{layer}"]
                    + values[f"lstm.weight_hh_l{layer}"] @ hidden[layer]
                    + values[f"lstm.bias_hh_l{layer}"]
                )
                i, f, g, o = gates.chunk(4)
                cell[layer] = f.sigmoid() * cell[layer] + i.sigmoid() * g.tanh()
                read = hidden[layer] = o.sigmoid() * cell[layer].tanh()
            logits = values[f"weight {options} {name}"] @ read + values[f"bias {options} {name}"]
            p = logits.exp() / logits.exp().sum()
            total = total + p[index].log()
            uncertainty = uncertainty - (p * p.log()).sum()
            read = values[f"embedding {options} {name}"][index]
        torch.testing.assert_close(log_prob, total, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(entropy, uncertainty, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("baseline", [0.0, 0.55])
def test_the_expected_gradient_is_that_of_the_expected_reward(policy, baseline):
    """Sum over all architectures of p R grad log p, and a central difference of sum p R along a random direction."""
    tensors = list(policy.parameters.values())
    probabilities = policy.log_probs(WALKS)[0].exp().detach()
    estimate = [torch.zeros_like(tensor) for tensor in tensors]
    for steps, p, reward in zip(WALKS, probabilities, REWARDS, strict=True):
        loss = policy_loss(policy.log_probs([steps])[0], (reward - baseline)[None])
        gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
        for total, gradient in zip(estimate, gradients, strict=True):
            if gradient is not None:
                total.sub_(p * gradient)

    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(tensor.shape, generator=generator) for tensor in tensors]
    expected = []
    for size in (0.01, -0.01):
        with torch.no_grad():
            for tensor, along in zip(tensors, direction, strict=True):
                tensor.add_(size * along)
            expected.append((policy.log_probs(WALKS)[0].exp() * REWARDS).sum().item())
            for tensor, along in zip(tensors, direction, strict=True):
                tensor.sub_(size * along)
    slope = (expected[0] - expected[1]) / 0.02
    assert abs(slope) > 0.05
    assert sum((e * d).sum().item() for e, d in zip(estimate, direction, strict=True)) == pytest.approx(slope, rel=0.01)


def test_walks_do_not_touch_each_other(policy):
    together = torch.stack(policy.log_probs(WALKS))
    alone = torch.cat([torch.stack(policy.log_probs([steps])) for steps in WALKS], dim=1)
    torch.testing.assert_close(together, alone)


SMALL = {
    "lstm": lambda seed: LstmPolicy(seed=seed, hidden=6, layers=1),
    "table": lambda seed: TablePolicy(seed=seed, spread=1.0),
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_the_order_in_which_choices_are_met_does_not_matter(make):
    forwards, backwards = make(3), make(3)
    for steps in WALKS:
        forwards.log_probs([steps])
    for _ in range(20):
        backwards.sample(SPACE, random.Random(0))
    backwards.log_probs(WALKS[::-1])
    assert forwards.parameters.keys() == backwards.parameters.keys()
    for name, tensor in forwards.parameters.items():
        assert torch.equal(tensor, backwards.parameters[name])


def test_parameters_start_uniform_and_differ_by_seed_and_name():
    policy, other = LstmPolicy(seed=0, hidden=40, layers=2), LstmPolicy(seed=1, hidden=40, layers=2)
    for made in (policy, other):
        made.log_probs(WALKS)
    values = torch.cat([tensor.flatten() for tensor in policy.parameters.values()])
    assert INIT_RANGE * 0.99 < values.abs().max() <= INIT_RANGE
    assert values.std().item() == pytest.approx(INIT_RANGE / 3**0.5, rel=0.02)
    assert all(tensor.requires_grad for tensor in policy.parameters.values())
    assert not torch.equal(policy.parameters["weight 2 a"], other.parameters["weight 2 a"])
    assert not torch.equal(policy.parameters["weight 2 a"], policy.parameters["weight 2 b"])


def test_a_table_starts_as_spread_as_it_is_told_and_forgets_its_probabilities_when_moved():
    even, wide = TablePolicy(seed=0), TablePolicy(seed=0, spread=0.001)
    walk = [[Step("a", 20_000, 0)]]
    for made in (even, wide):
        made.log_probs(walk)
    assert not even.parameters["20000 a"].any()
    assert wide.parameters["20000 a"].std().item() == pytest.approx(0.001, rel=0.05)

    table = TablePolicy(seed=0)
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {0, 1}
    with torch.no_grad():
        table.parameters["2 a"][1] = 50.0
    table.moved()
    assert {table.sample(SPACE, random.Random(k)).picks["a"] for k in range(20)} == {1}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_adam_moves_what_was_met_and_nothing_else(make):
    policy = make(0)
    policy.log_probs(WALKS)
    adam = Adam(policy, 0.1)
    before = {name: tensor.detach().clone() for name, tensor in policy.parameters.items()}
    first, second = [Step("a", 2, 0), Step("b", 3, 1)], [Step("new", 4, 2)]
    for walk in (first, second):
        adam.descend(-policy.log_probs([walk])[0].sum())
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, policy.parameters[name])}
    untouched = {name for name in before if name.endswith((" 2 b", " 2 c")) or name in ("2 b", "2 c")}
    assert untouched
    assert not moved & untouched
    assert any(name.endswith("2 a") for name in moved)
    # What was met after Adam was made is trained too.
    assert policy.log_probs([second])[0].item() > make(0).log_probs([second])[0].item() + 0.05


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
    policy.log_probs([[Step("a", 4, 0)]])
    with torch.no_grad():
        policy.parameters["bias 4 a"][0] = 50.0
    assert {policy.sample(Edge(), random.Random(k)).picks["a"] for k in range(20)} == {1, 2, 3}


def test_the_number_of_threads_is_restored_even_after_an_error():
    def fail():
        with one_thread():
            raise ValueError(f"on {torch.get_num_threads()} thread")

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="on 1 thread"):
        fail()
    assert torch.get_num_threads() == before


def test_a_space_that_rejects_everything_ends_with_its_reason():
    class Impossible:
        name = "impossible"

        def decide(self, choose):
            choose.reject("nothing will do")

    with pytest.raises(SpaceError, match="nothing will do"):
        LstmPolicy(seed=0, hidden=6, layers=1).sample(Impossible(), random.Random(0))
