"""Outer loop against torch's own optimizers, its interruption and its divergence."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from helpers.evaluators import CPU, NARROW, WIDE, Blobs, TinyConv, weights_of
from helpers.meta import meta_train
from safetensors.torch import load_file, save_file
from torch import nn

from nas import registry
from nas.errors import DataError, NasError
from nas.evaluators.learners import Anil, Maml
from nas.evaluators.meta_training.outer_loop import MetaTraining, OuterLoop
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.drawing import draw
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.protocols import CARRIED, LEARNER

LOOP = OuterLoop(budget=4, tasks_per_step=3, train_queries=0, anneal=True)


@dataclass
class Spy:
    """Task family that records which tasks are drawn."""

    family: Any
    asked: list = field(default_factory=list)

    @property
    def shape(self):
        return self.family.shape

    def tasks(self, split, indices, device):
        self.asked.append((split, list(indices)))
        return self.family.tasks(split, indices, device)


@dataclass
class Given:
    """A learner whose meta-gradients are written down: at step n, n + 1 times `gradients`.

    spoiled  a call, and what has which value in it: a gradient by its name, or the loss
    """

    gradients: dict
    outer_optimizer: str = "adam"
    outer_lr: float = 0.1
    batches: list = field(default_factory=list)
    spoiled: tuple = (0, "", 0.0)

    def at(self, progress):
        return self

    def meta_gradient(self, network, parameters, batch, kind):
        self.batches.append(batch)
        factor = len(self.batches)
        # The sign alternates, because Adam does not depend on the size of a gradient.
        given = {name: factor * (-1) ** factor * g for name, g in self.gradients.items()}
        given["loss"] = torch.tensor(1.0)
        call, name, value = self.spoiled
        if call == factor:
            given[name] = torch.full_like(given[name], value)
        return given.pop("loss"), given


@pytest.mark.parametrize("anneal", [True, False])
@pytest.mark.parametrize("name", registry.names("learner"))
def test_training_is_torchs_optimizer_on_the_learners_gradients(name, anneal):
    learner, family = registry.create("learner", name, {}), Blobs()
    network, slow = (
        build(TinyConv(), NARROW, family.shape, Normalisation(), learner=learner, seed=5) for _ in range(2)
    )
    for each in (network, slow):
        attach(each, learner.initial(each, family))
    loop = OuterLoop(budget=4, tasks_per_step=3, train_queries=2, anneal=anneal)
    meta_train(network, family, learner, loop, seed=2)

    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    moved = {name: p for name, p in slow.named_parameters() if not name.startswith(CARRIED)}
    optimizer = kinds[learner.outer_optimizer](moved.values(), lr=learner.outer_lr)
    for step in range(4):
        first = 2 * 2**32 + 3 * step
        batch = draw(family, "train", [first, first + 1, first + 2], CPU, queries=2)
        _, gradients = learner.meta_gradient(slow, weights_of(slow), batch, "classification")
        for group in optimizer.param_groups:
            group["lr"] = learner.outer_lr * ((4 - step) / 4 if anneal else 1)
        for parameter_name, p in slow.named_parameters():
            if parameter_name in moved:
                p.grad = gradients[parameter_name].contiguous()
            else:
                p.data = gradients[parameter_name]
        optimizer.step()
    for parameter_name, w in weights_of(slow).items():
        # Adam divides by the size of gradients, so that where they are next to nothing, rounding counts.
        assert torch.allclose(network.get_parameter(parameter_name), w, rtol=1e-3, atol=2e-4), parameter_name


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("weights_last, gradients_last", [(False, True), (True, False), (True, True), (False, False)])
def test_layouts_in_memory_do_not_matter(optimizer, weights_last, gradients_last):
    """torch's fused Adam reads the memory of a gradient in the order of its weight's, whatever the gradient's order."""
    formats = {True: torch.channels_last, False: torch.contiguous_format}
    network = nn.Conv2d(3, 4, 3, bias=False)
    weight = torch.linspace(-1, 1, 108).reshape(4, 3, 3, 3)
    network.weight.data = weight.clone(memory_format=formats[weights_last])
    gradient = (weight * 40).sin().contiguous(memory_format=formats[gradients_last])
    meta_train(network, Blobs(), Given({"weight": gradient}, optimizer), LOOP, seed=0)

    expected = nn.Parameter(weight.clone())
    slow = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer]([expected], lr=0.1)
    for step in range(4):
        slow.param_groups[0]["lr"] = 0.1 * (4 - step) / 4
        expected.grad = ((step + 1) * (-1) ** (step + 1) * gradient).contiguous()
        slow.step()
    assert torch.allclose(network.weight, expected, atol=1e-5)


def test_each_seed_trains_on_its_own_tasks_and_each_step_on_new_ones():
    seen = set()
    for seed in (0, 1, 7):
        spy = Spy(Sinusoid())
        meta_train(nn.Linear(1, 1), spy, Maml(inner_lr=0.01), LOOP, seed)
        assert {split for split, _ in spy.asked} == {"train"}
        assert [len(indices) for _, indices in spy.asked] == [3] * 4
        seen |= {index for _, indices in spy.asked for index in indices}
    assert len(seen) == 3 * 4 * 3


def test_no_steps_leave_the_weights_alone():
    network = nn.Linear(1, 1)
    before = weights_of(network)
    meta_train(network, Sinusoid(), Maml(), OuterLoop(0, 3, 0, True), seed=0)
    assert all(torch.equal(w, before[name]) for name, w in weights_of(network).items())


@pytest.mark.parametrize("name", registry.names("learner"))
def test_parameters_that_are_not_learned_are_not_trained(name):
    learner, family = registry.create("learner", name, {}), Blobs()
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 3))
    network[1].weight.requires_grad_(False)
    network[3].bias.requires_grad_(False)
    attach(network, learner.initial(network, family))
    before = weights_of(network)
    meta_train(network, family, learner, LOOP, seed=0)
    changed = {key for key, w in weights_of(network).items() if not torch.equal(w, before[key])}
    own = {key for key in before if key.startswith(LEARNER)}
    headless = {"protonet", "ridge", "finetune"}  # These replace the network's head.
    assert changed == (set() if name == "scratch" else {"1.bias", *own} | (set() if name in headless else {"3.weight"}))


class Recorded:
    """Learner that records its calls and results, also those of the learners that `at` returns."""

    def __init__(self, learner, calls):
        self.learner, self.calls = learner, calls

    def __getattr__(self, name):
        return getattr(self.learner, name)

    def at(self, progress):
        return Recorded(self.learner.at(progress), self.calls)

    def meta_gradient(self, network, parameters, batch, kind):
        answer = self.learner.meta_gradient(network, parameters, batch, kind)
        self.calls.append(({name: p.clone() for name, p in parameters.items()}, batch, answer[1]))
        return answer


@pytest.mark.parametrize("anneal", [True, False])
def test_first_order_gradients_come_first_and_second_order_ones_after(anneal):
    def calls_of(learner):
        calls = []
        network = build(TinyConv(), NARROW, Blobs().shape, Normalisation(), learner=learner, seed=5)
        meta_train(network, Blobs(), Recorded(learner, calls), OuterLoop(6, 2, 0, anneal), seed=1)
        return network, calls

    first, second = (Maml(order=order, inner_lr=0.2, steps=2) for order in (1, 2))
    network, switching = calls_of(replace(second, first_order=0.5))
    _, unswitched = calls_of(first)

    def equal(one, other):
        return all(torch.equal(one[name], other[name]) for name in one)

    assert [equal(a[0], b[0]) for a, b in zip(switching, unswitched, strict=True)] == [True] * 4 + [False] * 2
    for step, (weights, batch, gradients) in enumerate(switching):
        actual = [
            equal(gradients, each.meta_gradient(network, weights, batch, "classification")[1])
            for each in (first, second)
        ]
        assert actual == [step < 3, step >= 3]


def test_no_gradients_are_left_behind():
    network = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 1))
    meta_train(network, Sinusoid(), Anil(inner_lr=0.01), LOOP, seed=0)
    assert all(p.grad is None for p in network.parameters())


# --- divergence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("first", [1, 7, 10, 11, 25])
def test_numbers_that_are_not_finite_end_training_and_the_first_such_step_is_named(bad, first):
    """Numbers are checked every ten steps and at the last step, for all steps before."""
    network = nn.Linear(1, 1)
    learner = Given({"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}, "sgd", spoiled=(first, "bias", bad))
    with pytest.raises(NasError, match=f"diverged: the loss or a weight is not finite at outer step {first};"):
        meta_train(network, Sinusoid(), learner, OuterLoop(25, 1, 0, False), seed=0)
    assert len(learner.batches) == min(math.ceil(first / 10) * 10, 25)


def test_a_loss_that_is_not_finite_for_one_step_ends_training_too():
    learner = Given({"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}, "sgd", spoiled=(3, "loss", float("inf")))
    with pytest.raises(NasError, match=r"at outer step 3;"):
        meta_train(nn.Linear(1, 1), Sinusoid(), learner, OuterLoop(8, 1, 0, False), seed=0)


def test_large_numbers_and_empty_weights_are_no_divergence():
    network = nn.Linear(1, 1)
    network.nothing = nn.Parameter(torch.zeros(0))
    network.weight.data.fill_(3e38)
    learner = Given({"weight": torch.zeros(1, 1), "bias": torch.full((1,), 1e37), "nothing": torch.zeros(0)}, "sgd")
    meta_train(network, Sinusoid(), learner, LOOP, seed=0)


# --- interruption and continuation ------------------------------------------------------------------------------------


def training(learner, family, steps=6, seed=3, width=NARROW):
    network = build(TinyConv(), width, family.shape, Normalisation(), learner=learner, seed=5)
    attach(network, learner.initial(network, family))
    return MetaTraining(network, family, learner, OuterLoop(steps, 3, 2, True), seed)


def through_a_file(state, path):
    save_file(state, path)
    return load_file(path)


def same_states(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", registry.names("learner"))
def test_a_training_taken_up_from_a_file_is_the_unbroken_one(name, tmp_path):
    """Bit for bit with the optimizer's state, after any step; a state does not change after it was taken."""
    learner, family = registry.create("learner", name, {}), Blobs()
    whole = training(learner, family)
    states = []
    for step in range(7):
        whole.advance(step)
        states.append(whole.state())
    straight = training(learner, family)
    straight.advance(6)
    assert same_states(straight.state(), states[-1])
    for step in range(7):
        broken = training(learner, family)
        broken.restore(through_a_file(states[step], tmp_path / f"{step}.safetensors"))
        assert broken.step == step
        broken.advance(6)
        assert same_states(broken.state(), states[-1])
    moved = not same_states(states[0], {**states[-1], "outer_step": states[0]["outer_step"]})
    assert moved == (name != "scratch")


@pytest.mark.parametrize("at_once", [2, 6, 10, 100])
def test_tasks_drawn_for_steps_to_come_are_those_of_each_step(at_once, monkeypatch):
    """This holds from any step on, and no task beyond the schedule is drawn."""
    monkeypatch.setattr("nas.evaluators.meta_training.outer_loop.DRAWN_AT_ONCE", {"cpu": at_once})
    for begun in range(LOOP.budget):
        learner, spy = Given({"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}, "sgd"), Spy(Blobs())
        ahead = MetaTraining(nn.Linear(1, 1), spy, learner, LOOP, 2)
        ahead.restore({**ahead.state(), "outer_step": torch.tensor(begun)})
        ahead.advance(LOOP.budget)
        assert len(spy.asked) == -(-(LOOP.budget - begun) // max(1, at_once // 3))
        drawn = [index for _, indices in spy.asked for index in indices]
        assert drawn == list(range(2 * 2**32 + 3 * begun, 2 * 2**32 + 3 * LOOP.budget))
        for step, batch in enumerate(learner.batches, begun):
            first = 2 * 2**32 + 3 * step
            expected = vars(draw(Blobs(), "train", range(first, first + 3), CPU))
            assert all(torch.equal(x, expected[name]) for name, x in vars(batch).items() if x is not None)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_layouts_in_memory_survive_a_restart(optimizer):
    """Adam's state must have the memory layout of its weight, or it is read in another order."""

    def started():
        network = nn.Conv2d(3, 4, 3, bias=False).to(memory_format=torch.channels_last)
        network.weight.data.copy_(torch.linspace(-1, 1, 108).reshape(4, 3, 3, 3))
        given = Given({"weight": (network.weight.detach() * 40).sin().contiguous()}, optimizer)
        return MetaTraining(network, Blobs(), given, LOOP, 0), network, given

    unbroken, expected, _ = started()
    unbroken.advance(2)
    state = {name: value.contiguous() for name, value in unbroken.state().items()}
    unbroken.advance(4)
    broken, network, given = started()
    given.batches += [None, None]
    broken.restore(state)
    broken.advance(4)
    assert torch.equal(network.weight, expected.weight)


def test_what_a_training_says_of_its_steps_after_a_restart_is_true():
    def started(spoiled):
        learner = Given({"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}, "sgd", spoiled=spoiled)
        return MetaTraining(nn.Linear(1, 1), Sinusoid(), learner, OuterLoop(25, 1, 0, True), 0)

    before = started((0, "", 0.0))
    before.advance(13)
    after = started((4, "weight", float("nan")))
    after.restore(before.state())
    with pytest.raises(NasError, match=r"at outer step 17;"):
        after.advance(25)
    assert after.step == 20


@pytest.mark.parametrize("spoil", ["another network", "no step", "no weights", "a weight less", "half an optimizer"])
def test_the_state_of_another_training_is_refused_and_changes_nothing(spoil):
    learner, family = Maml(), Blobs()
    other = training(learner, family, width=WIDE if spoil == "another network" else NARROW)
    other.advance(2)
    first, *names = [name for name in other.state() if name.startswith("weight:")]
    gone = {
        "another network": [],
        "no step": ["outer_step"],
        "no weights": [first, *names],
        "a weight less": [first],
        "half an optimizer": ["exp_avg:" + first.removeprefix("weight:")],
    }[spoil]
    state = {name: value for name, value in other.state().items() if name not in gone}
    assert len(state) == len(other.state()) - len(gone)
    begun = training(learner, family)
    begun.advance(1)
    before = begun.state()
    with pytest.raises(DataError, match="another network's meta-training"):
        begun.restore(state)
    assert same_states(begun.state(), before)
