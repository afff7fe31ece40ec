"""A space whose graph forgets what its networks differ in is caught, and a sound one is not."""

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


class Forgets(FewShotCell):
    """A graph without one of its attributes."""

    def __init__(self, attribute: str) -> None:
        super().__init__()
        object.__setattr__(self, "attribute", attribute)

    def graph(self, spec: Any) -> nx.DiGraph:
        diagram = super().graph(spec)
        del diagram.graph[self.attribute]  # type: ignore[attr-defined]
        return diagram


class Chain:
    """Two layers, which may do nothing or be left out, of an activation that a flag leaves out of the graph."""

    name = "chain"
    tells = True

    def decide(self, choose: Any) -> Any:
        layers = [choose(f"layer{i}", ["dense", "zero", "nothing"]) for i in range(3)]
        return layers, choose("activation", ["tanh", "relu"])

    def graph(self, spec: Any) -> nx.DiGraph:
        layers, activation = spec
        diagram = nx.DiGraph(activation=activation) if self.tells else nx.DiGraph()
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
def test_a_space_whose_graph_tells_its_networks_apart_is_sound(space):
    check_networks(space, IMAGES)


def test_sound_spaces_have_pairs_to_be_wrong_about():
    rng = random.Random(0)
    for space in (FewShotCell(), Chain()):
        drawn = [sample(space, rng) for _ in range(300)]
        assert sum(network_key(space, a) == network_key(space, mutate(space, a, rng)) for a in drawn) >= 10


@pytest.mark.parametrize(
    "attribute, choice", [("width", "'width'"), ("num_cells", "'cells'"), ("reductions", "reduce")]
)
def test_what_a_graph_forgets_is_found_and_its_choice_named(attribute, choice):
    with pytest.raises(AssertionError, match=r"the graph does not change with .*, but the network does: .*") as caught:
        check_networks(Forgets(attribute), IMAGES)
    assert choice in str(caught.value).split(", but")[0]
    assert "nx.DiGraph(width=16)" in str(caught.value)


def test_what_has_no_weights_is_found_by_what_it_computes():
    space = Chain()
    space.tells = False
    with pytest.raises(AssertionError, match="does not change with 'activation', but the network does: its outputs"):
        check_networks(space, IMAGES)
