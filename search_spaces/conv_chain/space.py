"""The space `conv-chain`: convolutions in a row, with skip connections between any two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from nas.bounds import LARGEST_WIDTH, check_numbers
from nas.errors import ConfigError, SpaceError
from nas.space import Choose
from nas.task import TaskShape

from .spec import ConvLayer, loose_ends

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ConvChain:
    """The convolutional space of Zoph & Le (arXiv 1611.01578, sections 3.1, 3.3 and 4.1).

    Every layer is convolution, normalisation, ReLU. Its inputs are any of the layers before it; where it has none, the
    image. Inputs are concatenated by channels, the smaller ones padded with zeros around them to the size of the
    largest. Outputs that no layer uses are concatenated alike before the head.

    heights, widths  options for a filter's height and width, which must be odd
    filters          options for the number of filters
    strides          options for the stride, down and right each by itself; (1,) fixes it, as one of their experiments
    depths           options for the number of layers

    Theirs are heights and widths (1, 3, 5, 7), filters (24, 36, 48, 64), strides (1, 2, 3), and up to 15 layers, the
    number being scheduled and not chosen. The head is not described there; here it is linear on an average pool to 3×3.
    """

    heights: tuple[int, ...] = (1, 3, 5)
    widths: tuple[int, ...] = (1, 3, 5)
    filters: tuple[int, ...] = (8, 16, 24)
    strides: tuple[int, ...] = (1, 2)
    depths: tuple[int, ...] = (2, 3, 4, 5)
    name = "conv-chain"

    def __post_init__(self) -> None:
        most = {"heights": 63, "widths": 63, "filters": LARGEST_WIDTH, "strides": 16, "depths": 100}
        for option, largest in most.items():
            check_numbers(self.name, option, getattr(self, option), 1, largest)
        for option, values in (("heights", self.heights), ("widths", self.widths)):
            if any(value % 2 == 0 for value in values):
                raise ConfigError(
                    f"conv-chain {option} = {list(values)}; give odd numbers: a filter is centred on its pixel"
                )

    def decide(self, choose: Choose) -> tuple[ConvLayer, ...]:
        return tuple(self._layer(choose, index) for index in range(choose("layers", self.depths)))

    def _layer(self, choose: Choose, index: int) -> ConvLayer:
        return ConvLayer(
            kernel=(choose(f"{index}.height", self.heights), choose(f"{index}.width", self.widths)),
            stride=(choose(f"{index}.stride_down", self.strides), choose(f"{index}.stride_right", self.strides)),
            filters=choose(f"{index}.filters", self.filters),
            inputs=tuple(choose.subset(f"{index}.inputs", range(index))),
        )

    def build(self, spec: tuple[ConvLayer, ...], task: TaskShape) -> nn.Module:
        """The network; raises SpaceError where the task's inputs are not images."""
        from .network import ConvChainNetwork

        if len(task.input_shape) != 3:
            raise SpaceError(
                f"conv-chain needs images (channels, height, width); this task's inputs are {task.input_shape}"
            )
        return ConvChainNetwork(spec, task)

    def graph(self, spec: tuple[ConvLayer, ...]) -> nx.DiGraph:
        """The whole network but its head: layers are nodes, and so are concatenations."""
        diagram = nx.DiGraph()
        diagram.add_node("image", op="input")
        for index, layer in enumerate(spec):
            diagram.add_node(f"layer{index}", op=_label(layer))
            _join(diagram, [f"layer{source}" for source in layer.inputs] or ["image"], f"layer{index}")
        diagram.add_node("head", op="output")
        _join(diagram, [f"layer{source}" for source in loose_ends(spec)], "head")
        return diagram


def _label(layer: ConvLayer) -> str:
    label = f"conv {layer.kernel[0]}×{layer.kernel[1]}, {layer.filters}"
    return label if layer.stride == (1, 1) else f"{label}, stride {layer.stride[0]}×{layer.stride[1]}"


def _join(diagram: nx.DiGraph, sources: list[str], target: str) -> None:
    if len(sources) > 1:
        diagram.add_node(f"concat-{target}", op="concat")
        diagram.add_edges_from((source, f"concat-{target}") for source in sources)
        sources = [f"concat-{target}"]
    diagram.add_edge(sources[0], target)
