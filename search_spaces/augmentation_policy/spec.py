"""Specs of `augmentation-policy`: the decided policy and the fixed network's width, and their diagram."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy, AugmentationStep

if TYPE_CHECKING:
    import networkx as nx

PAIRS = tuple("+".join(pair) for pair in combinations(OPERATIONS, 2))
"""The 105 pairs of two different operations, such as 'ShearX+Rotate'; the first is applied first."""
WITHOUT_MAGNITUDE = {"AutoContrast", "Invert", "Equalize"}
"""Operations for which every magnitude is the same."""


@dataclass(frozen=True)
class AugmentedNetwork:
    """Decided architecture.

    Attributes:
        policy: Augmentation of the training images.
        width: Channels of the fixed network.
    """

    policy: AugmentationPolicy
    width: int


def diagram(spec: AugmentedNetwork) -> nx.DiGraph:
    """The sub-policies side by side, of which each image takes one, and the network after them.

    So policies whose sub-policies have another order are the same. A magnitude is left out where it has no effect, and
    so is a step of probability 0.
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_node("image", op="input")
    graph.add_node("network", op=f"conv4, {spec.width}", join="one of")
    for number, sub_policy in enumerate(spec.policy.sub_policies):
        before = "image"
        for place, step in enumerate(sub_policy.steps):
            node = f"{number}.{place}"
            graph.add_node(node, op=step_label(step))
            graph.add_edge(before, node)
            before = node
        graph.add_edge(before, "network")
    graph.add_node("head", op="output")
    graph.add_edge("network", "head")
    return graph


def step_label(step: AugmentationStep) -> str:
    """A text that two steps share when they are the same; those of probability 0 are, and magnitudes without effect."""
    if not step.probability:
        return "skip"
    label = f"{step.operation}, p {step.probability:.4g}"
    return label if step.operation in WITHOUT_MAGNITUDE else f"{label}, m {step.magnitude:.4g}"
