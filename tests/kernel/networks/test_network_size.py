"""A network that no memory holds is refused by its size and its choices, before memory is taken where that can be."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from helpers.choices import FunctionSpace
from torch import nn

from nas import provenance
from nas.architecture import Architecture
from nas.checks import space_report as checks
from nas.errors import SpaceError
from nas.evaluators.learners import Anil
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.networks import size
from nas.networks.size import check_size, named_if_too_large
from nas.space import options_taken, sample
from nas.task import TaskShape

SHAPE = TaskShape((4,), 3)
SMALLEST = Architecture("function", {"act": 0, "deep": 0, "width": 0, "depth": 0})


class Wide(FunctionSpace):
    """One hidden layer of the chosen width, `layer` being what it is."""

    def __init__(self, widths, layer=nn.Linear):
        super().__init__(
            lambda c: (c("act", ["relu"]), c("deep", [False]), c("width", widths), c("depth", [2])),
        )
        self.layer = layer

    def build(self, spec, task):
        width = spec[2]
        return nn.Sequential(self.layer(task.input_shape[0], width), nn.ReLU(), nn.Linear(width, task.num_outputs))


class Hungry(nn.Linear):
    """Small weights, and an output that no memory holds."""

    def forward(self, x):
        return super().forward(x).repeat(10**9, 10**6)


class Stubborn(nn.Linear):
    """Cannot be built on the meta device."""

    def __init__(self, *args):
        super().__init__(*args)
        torch.zeros(1).item()


def built(space):
    return build(space, SMALLEST, SHAPE, Normalisation(), learner=Anil(), seed=0)


@pytest.mark.parametrize("widths", [[10**12], [10**15], [2**62]])
@pytest.mark.parametrize("layer", [nn.Linear, Stubborn])
def test_a_network_too_large_is_named_by_its_largest_choices(widths, layer):
    with pytest.raises(SpaceError) as caught:
        built(Wide(widths, layer))
    text = str(caught.value)
    assert f"the network of {SMALLEST.key} in space 'function' is too large: " in text
    assert f"Its largest choices are 'width' = {widths[0]:,}, 'depth' = 2; offer smaller options" in text
    assert "Allocator" not in text


def test_its_parameters_are_counted_and_no_memory_is_taken(monkeypatch):
    monkeypatch.setattr(size, "memory_bytes", lambda: 10**6)
    limit = 10**6 // 4 // 2  # numbers of four bytes that fit beside their gradient
    widths = [(limit - 3) // 8, (limit - 3) // 8 + 1]  # 5 w + 3 w + 3 parameters
    built_on = []

    def make(width):
        layer = nn.Linear(4, width)
        built_on.append(layer.weight.device.type)
        return nn.Sequential(layer, nn.Linear(width, 3))

    space = Wide(widths)
    check_size(space, SMALLEST, partial(make, widths[0]))
    count = 8 * widths[1] + 3
    with pytest.raises(SpaceError, match=f"its {count:,} parameters and their gradient take 0.0 GB, and this machine"):
        check_size(space, SMALLEST, partial(make, widths[1]))
    assert built_on == ["meta", "meta"]


def test_an_output_too_large_is_named_by_what_it_needs():
    with pytest.raises(SpaceError, match=r"is too large: it needs [0-9,]+\.0 GB at once\. Its largest choices"):
        built(Wide([8], Hungry))


def test_other_errors_are_not_about_memory():
    for error in (RuntimeError("shapes"), TypeError("no"), SpaceError("other"), ValueError("out of memory")):
        with pytest.raises(type(error), match=str(error)), named_if_too_large(Wide([8]), SMALLEST):
            raise error


def test_what_is_built_on_the_meta_device_first_moves_no_initial_weight():
    network = built(Wide([8]))
    torch.manual_seed(0)
    assert torch.equal(network[0].weight, nn.Linear(4, 8).weight)


def test_a_check_of_the_space_says_the_same(monkeypatch):
    with pytest.raises(SpaceError, match=r"is too large: its 8,0\d\d,.* 'width' = 1,00"):
        checks.examine(Wide([10**9, 1001 * 10**6]), SHAPE, 5, 2)


def test_the_options_taken_are_those_of_the_picks():
    space = FunctionSpace(lambda choose: (choose("a", [1, 2]), choose("b", "xyz")))
    architecture = sample(space, random.Random(3))
    picks = architecture.picks
    assert options_taken(space, architecture) == {"a": [1, 2][picks["a"]], "b": "xyz"[picks["b"]]}


def test_the_memory_of_a_container_is_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CONTAINER", tmp_path / "memory.max")
    whole = provenance.memory_bytes()
    assert whole > 10**8
    for text, bytes_there in (("max\n", whole), ("1000000\n", 10**6), (f"{10**30}\n", whole)):
        (tmp_path / "memory.max").write_text(text)
        assert provenance.memory_bytes() == bytes_there
