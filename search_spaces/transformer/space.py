"""The space `transformer`: encoders on patches of images or series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number, check_numbers
from nas.errors import SpaceError
from nas.space import Choose
from nas.task import TaskShape

from .spec import Encoder, EncoderLayer

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class Transformer:
    """Vision transformers of AutoFormer, for images and series.

    Chen et al. (arXiv 2107.00651, section 3.3 and table 1). Width and depth are chosen once, heads and feed-forward
    ratio in every layer. Queries, keys and values have `head_dim` features a head, whatever the width. The network is
    that of Dosovitskiy et al. (arXiv 2010.11929): a linear embedding of patches, learned positions, pre-norm layers, a
    normalisation, a linear head. Unlike there, the head reads the mean of the tokens, and there is no class token.
    AutoFormer's relative positions and dropout are left out.

    AutoFormer-tiny has widths (192, 216, 240), depths (12, 13, 14), heads (3, 4), ratios (3.5, 4), head_dim 64 and 196
    tokens: 3 (4^12 + 4^13 + 4^14) architectures. With -small and -base these are 6.3e15; the published 1.7e16 also
    counts the choices of layers beyond the depth. With the default options there are 2,457.

    Attributes:
        widths: Options for the features of a token.
        depths: Options for the number of layers.
        heads: Options for the number of heads in a layer.
        ratios: Options for the hidden units of a layer's feed-forward part, as a multiple of the width.
        head_dim: Features of a head.
        max_tokens: Largest number of patches, which are as small as it allows.
    """

    widths: tuple[int, ...] = (16, 24, 32)
    depths: tuple[int, ...] = (1, 2, 3)
    heads: tuple[int, ...] = (1, 2, 4)
    ratios: tuple[float, ...] = (1.0, 2.0, 4.0)
    head_dim: int = 8
    max_tokens: int = 16
    name = "transformer"

    def __post_init__(self) -> None:
        for option, largest in {"widths": LARGEST_WIDTH, "depths": 100, "heads": 256}.items():
            check_numbers(self.name, option, getattr(self, option), 1, largest)
        check_numbers(self.name, "ratios", self.ratios, 0.0, 64.0, above=True)
        check_number(self.name, "head_dim", self.head_dim, 1, LARGEST_WIDTH)
        check_number(self.name, "max_tokens", self.max_tokens, 1, 4096)

    def decide(self, choose: Choose) -> Encoder:
        """The width, the number of layers, and each layer's heads and feed-forward ratio."""
        width = choose("width", self.widths)
        layers = []
        for layer in range(choose("layers", self.depths)):
            heads = choose(f"{layer}.heads", self.heads)
            layers.append(EncoderLayer(heads, max(1, round(choose(f"{layer}.ratio", self.ratios) * width))))
        return Encoder(width, tuple(layers))

    def build(self, spec: Encoder, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are neither images nor series.
        """
        from .network import TransformerNetwork

        if len(task.input_shape) not in (2, 3):
            raise SpaceError(
                f"transformer needs images (channels, height, width) or series (channels, length); this task's inputs "
                f"are {task.input_shape}"
            )
        return TransformerNetwork(spec, task, head_dim=self.head_dim, max_tokens=self.max_tokens)

    def graph(self, spec: Encoder) -> nx.DiGraph:
        """The network without its head, as a diagram whose nodes are the layers' parts and residual sums."""
        import networkx as nx

        diagram = nx.DiGraph()
        diagram.add_node("patches", op="input")
        diagram.add_node("embedding", op=f"linear {spec.width} + position")
        diagram.add_edge("patches", "embedding")
        previous = "embedding"
        for index, layer in enumerate(spec.layers):
            parts = {
                f"attention{index}": f"attention {layer.heads}×{self.head_dim}",
                f"feed-forward{index}": f"feed-forward {layer.hidden}",
            }
            for part, op in parts.items():
                diagram.add_node(part, op=op)
                diagram.add_node(f"{part}.sum", op="add")
                diagram.add_edges_from(((previous, part), (previous, f"{part}.sum"), (part, f"{part}.sum")))
                previous = f"{part}.sum"
        diagram.add_node("tokens", op="output")
        diagram.add_edge(previous, "tokens")
        return diagram
