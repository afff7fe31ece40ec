"""The space `conv-chain`: convolutions in a row, with skip connections between any two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_numbers
from nas.errors import ConfigError
from nas.space import Choose
from nas.task import TaskShape

from ..input_checks import check_images
from .spec import ConvLayer, unread_layers

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class ConvChain:
    """Chains of convolutions with skip connections between any two layers, by Zoph & Le.

    arXiv 1611.01578, sections 3.1, 3.3 and 4.1. A layer is convolution, normalisation, ReLU. Its inputs are any of the
    layers before it, or the image where it has none. Inputs are concatenated along the channels; smaller ones are
    padded with zeros on all sides to the size of the largest. Outputs that no layer reads are concatenated in the same
    way before the head. With f choices in a layer itself, the number of architectures is the sum over depths d of
    f^d 2^(d (d - 1) / 2); about 1.5e13 by default.

    The paper has heights and widths (1, 3, 5, 7), filters (24, 36, 48, 64), strides (1, 2, 3) and up to 15 layers;
    their number rises by a schedule during the search and is not chosen. It does not describe the head, which is linear
    on an average pool to 3×3 here.

    Attributes:
        heights: Options for the height of a filter; odd.
        widths: Options for the width of a filter; odd.
        filters: Options for the number of filters.
        strides: Options for the vertical and, separately, the horizontal stride; (1,) fixes both, as in one of the
            paper's experiments.
        depths: Options for the number of layers.
    """

    heights: tuple[int, ...] = (1, 3, 5)
    widths: tuple[int, ...] = (1, 3, 5)
    filters: tuple[int, ...] = (8, 16, 24)
    strides: tuple[int, ...] = (1, 2)
    depths: tuple[int, ...] = (2, 3, 4, 5)
    name = "conv-chain"

    def __post_init__(self) -> None:
        upper_bounds = {"heights": 63, "widths": 63, "filters": LARGEST_WIDTH, "strides": 16, "depths": 100}
        for option, largest in upper_bounds.items():
            check_numbers(self.name, option, getattr(self, option), 1, largest)
        for option, values in (("heights", self.heights), ("widths", self.widths)):
            if any(value % 2 == 0 for value in values):
                raise ConfigError(
                    f"conv-chain {option} = {list(values)}; give odd numbers: a filter is centred on its pixel"
                )

    def decide(self, choose: Choose) -> tuple[ConvLayer, ...]:
        """The number of layers, then for each its kernel, strides, filters, and which earlier layers it reads."""
        return tuple(self._layer(choose, index) for index in range(choose("layers", self.depths)))

    def _layer(self, choose: Choose, index: int) -> ConvLayer:
        return ConvLayer(
            kernel=(choose(f"{index}.height", self.heights), choose(f"{index}.width", self.widths)),
            stride=(choose(f"{index}.stride_down", self.strides), choose(f"{index}.stride_right", self.strides)),
            filters=choose(f"{index}.filters", self.filters),
            inputs=tuple(choose.subset(f"{index}.inputs", range(index))),
        )

    def build(self, spec: tuple[ConvLayer, ...], task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images.
        """
        from .network import ConvChainNetwork

        check_images(self.name, task)
        return ConvChainNetwork(spec, task)

    def graph(self, spec: tuple[ConvLayer, ...]) -> nx.DiGraph:
        """The network without its head, as a diagram whose nodes are layers and concatenations."""
        import networkx as nx

        diagram = nx.DiGraph()
        diagram.add_node("image", op="input")
        for index, layer in enumerate(spec):
            diagram.add_node(f"layer{index}", op=_label(layer))
            _join(diagram, [f"layer{source}" for source in layer.inputs] or ["image"], f"layer{index}")
        diagram.add_node("head", op="output")
        _join(diagram, [f"layer{source}" for source in unread_layers(spec)], "head")
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
