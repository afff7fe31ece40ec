"""Tests of check_networks: a space fails whose graph does not show what its networks differ in; a sound one passes."""

from __future__ import annotations

import random
from typing import Any

import networkx as nx
import pytest

from nas.search_spaces import FewShotCell
from nas.space import mutate, sample
from nas.space.identity import network_key
from nas.task import TaskShape
from nas.testing import ToySpace, check_networks

IMAGES = TaskShape((1, 16, 16), 3)


class WithoutAttribute(FewShotCell):
    """A space whose graph lacks one of its attributes."""

    def __init__(self, attribute: str) -> None:
        super().__init__()
        object.__setattr__(self, "attribute", attribute)

    def graph(self, spec: Any) -> nx.DiGraph:
        diagram = super().graph(spec)
        del diagram.graph[self.attribute]  # type: ignore[attr-defined]
        return diagram


class Chain:
    """Three layers, each dense, multiplied by zero or left out; the graph shows their activation if a flag says so."""

    name = "chain"
    shows_activation = True

    def decide(self, choose: Any) -> Any:
        layers = [choose(f"layer{i}", ["dense", "zero", "nothing"]) for i in range(3)]
        return layers, choose("activation", ["tanh", "relu"])

    def graph(self, spec: Any) -> nx.DiGraph:
        layers, activation = spec
        diagram = nx.DiGraph(activation=activation) if self.shows_activation else nx.DiGraph()
        names = ["input", *(f"{i}" for i in range(3)), "output"]
        ops = {"dense": "dense", "nothing": "skip", "zero": "skip"}
        for name, op in zip(names, ["input", *(ops[layer] for layer in layers), "output"], strict=True):
            diagram.add_node(name, op=op)
        nx.add_path(diagram, names)
        return diagram

    def build(self, spec: Any, task: TaskShape) -> Any:
        from torch import nn

        class Zero(nn.Module):
            """x + 0 f(x): its weights are there and do nothing."""

            def __init__(self) -> None:
                super().__init__()
                self.dead = nn.Linear(4, 4)

            def forward(self, x: Any) -> Any:
                return x + 0 * self.dead(x)

        layers, activation = spec
        body: list[Any] = [nn.Flatten(), nn.Linear(16 * 16, 4)]
        for layer in layers:
            if layer == "dense":
                body += [nn.Linear(4, 4), nn.Tanh() if activation == "tanh" else nn.ReLU()]
            elif layer == "zero":
                body.append(Zero())
        return nn.Sequential(*body, nn.Linear(4, task.num_outputs))


@pytest.mark.parametrize("space", [FewShotCell(), Chain(), ToySpace()], ids=lambda space: space.name)
def test_a_space_whose_graph_tells_its_networks_apart_passes(space):
    check_networks(space, IMAGES)


def test_sound_spaces_have_mutants_with_the_same_network_key():
    rng = random.Random(0)
    for space in (FewShotCell(), Chain()):
        drawn = [sample(space, rng) for _ in range(300)]
        assert sum(network_key(space, a) == network_key(space, mutate(space, a, rng)) for a in drawn) >= 10


@pytest.mark.parametrize(
    "attribute, choice", [("width", "'width'"), ("num_cells", "'cells'"), ("reductions", "reduce")]
)
def test_an_attribute_that_a_graph_lacks_is_found_by_the_shapes_of_weights_and_its_choice_is_named(attribute, choice):
    with pytest.raises(AssertionError, match=r"the graph does not change with .*, but the network does: .*") as caught:
        check_networks(WithoutAttribute(attribute), IMAGES)
    assert choice in str(caught.value).split(", but")[0]
    assert "nx.DiGraph(width=16)" in str(caught.value)


def test_an_attribute_without_weights_is_found_by_the_outputs():
    space = Chain()
    space.shows_activation = False
    with pytest.raises(AssertionError, match="does not change with 'activation', but the network does: its outputs"):
        check_networks(space, IMAGES)
