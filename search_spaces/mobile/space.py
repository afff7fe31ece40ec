"""The space `mobile`: stages of inverted bottlenecks, with kernel, expansion and squeeze-excite of each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number, check_numbers
from nas.errors import ConfigError, shown
from nas.space import Choose
from nas.task import TaskShape

from ..input_checks import check_images
from .spec import Bottleneck, MobileSpec

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class Mobile:
    """Stages of inverted bottlenecks, as in MobileNetV3, ProxylessNAS and Once-for-All.

    Howard et al. (arXiv 1905.02244, sections 3 and 5), Cai et al. (arXiv 1812.00332), Cai et al. (arXiv 1908.09791).
    With kernels 3, 5, 7, expansions 3, 4, 6, depths 2 to 4 and five stages it is the space that section 3.2 of
    Once-for-All counts: ((3·3)² + (3·3)³ + (3·3)⁴)^5 = 7371^5 ≈ 2 · 10^19; resolutions are not searched. In general a
    stage has the sum over its depths of (kernels · expansions · gates)^depth variants, and the number of architectures
    is the product over stages times the number of width multipliers; 120,005,064 by default. Unlike in the papers,
    widths are multiples of 4, and the pool before the head is to 3×3.

    Attributes:
        channels: Output channels of each stage, before the width multiplier.
        strides: Stride of the first layer of each stage: 1, or 2 to halve height and width.
        depths: Options for the number of layers of a stage.
        kernels: Options for the side of a layer's depthwise convolution; odd.
        expansions: Options for the ratio of a layer's inner channels to its input channels.
        squeeze_excite: Options for whether a layer has a squeeze-excite gate.
        width_multipliers: Options for the factor of all channels.
    """

    channels: tuple[int, ...] = (8, 12, 16)
    strides: tuple[int, ...] = (1, 2, 2)
    depths: tuple[int, ...] = (1, 2)
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 4, 6)
    squeeze_excite: tuple[bool, ...] = (False, True)
    width_multipliers: tuple[float, ...] = (0.5, 0.75, 1.0)
    name = "mobile"

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= 100:
            raise ConfigError(
                f"mobile channels = {shown(list(self.channels))}; give whole numbers from 1 to {LARGEST_WIDTH:,}, "
                "one for each of 1 to 100 stages"
            )
        for channels in self.channels:
            check_number(self.name, "channels", channels, 1, LARGEST_WIDTH)
        for option, largest in {"depths": 100, "kernels": 63, "expansions": 64}.items():
            check_numbers(self.name, option, getattr(self, option), 1, largest)
        check_numbers(self.name, "width_multipliers", self.width_multipliers, 0.0, 64.0, above=True)
        if not self.squeeze_excite or len(set(self.squeeze_excite)) < len(self.squeeze_excite):
            raise ConfigError(f"mobile squeeze_excite = {list(self.squeeze_excite)}; give at least one, and each once")
        if not all(kernel % 2 for kernel in self.kernels):
            raise ConfigError(f"mobile kernels = {list(self.kernels)}; give odd numbers, whose padding is even")
        if not set(self.strides) <= {1, 2} or len(self.strides) != len(self.channels):
            raise ConfigError(
                f"mobile strides = {shown(list(self.strides))}; give 1 or 2 for each of {len(self.channels)} stages"
            )

    def decide(self, choose: Choose) -> MobileSpec:
        """The width multiplier, then each stage's depth, and each layer's kernel, expansion and gate."""
        multiplier = choose("width", self.width_multipliers)
        layers = []
        for stage, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
            for layer in range(choose(f"stage{stage}.depth", self.depths)):
                name = f"stage{stage}.{layer}"
                layers.append(
                    Bottleneck(
                        channels=_scaled(channels, multiplier),
                        stride=stride if layer == 0 else 1,
                        kernel=choose(f"{name}.kernel", self.kernels),
                        expansion=choose(f"{name}.expansion", self.expansions),
                        squeeze_excite=choose(f"{name}.squeeze_excite", self.squeeze_excite),
                    )
                )
        return MobileSpec(_scaled(self.channels[0], multiplier), tuple(layers))

    def build(self, spec: MobileSpec, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images, or too small to be halved so often.
        """
        from .network import MobileNetwork

        check_images(self.name, task, halvings=1 + self.strides.count(2))
        return MobileNetwork(spec, task)

    def graph(self, spec: MobileSpec) -> nx.DiGraph:
        """The network without its head, as a diagram whose nodes are layers and residual sums."""
        import networkx as nx

        diagram = nx.DiGraph()
        diagram.add_node("input", op="input")
        diagram.add_node("stem", op=f"conv 3×3 /2\n{spec.stem}")
        diagram.add_edge("input", "stem")
        previous, channels = "stem", spec.stem
        for number, layer in enumerate(spec.layers):
            name = f"layer{number}"
            diagram.add_node(name, op=_label(layer))
            diagram.add_edge(previous, name)
            if layer.has_residual(channels):
                diagram.add_node(f"{name} sum", op="add")
                diagram.add_edges_from([(previous, f"{name} sum"), (name, f"{name} sum")])
                name = f"{name} sum"
            previous, channels = name, layer.channels
        diagram.add_node("output", op="output")
        diagram.add_edge(previous, "output")
        return diagram


def _scaled(channels: int, multiplier: float) -> int:
    return max(4, 4 * round(channels * multiplier / 4))


def _label(layer: Bottleneck) -> str:
    stride = " /2" if layer.stride == 2 else ""
    gate = " SE" if layer.squeeze_excite else ""
    return f"{layer.kernel}×{layer.kernel} e{layer.expansion}{gate}{stride}\n{layer.channels}"
