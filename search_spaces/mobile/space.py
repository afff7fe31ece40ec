"""The space `mobile`: stages of inverted bottlenecks, each layer of its own kernel, expansion and squeeze-excite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from nas.bounds import LARGEST_WIDTH, check_numbers
from nas.errors import ConfigError, shown
from nas.space import Choose
from nas.task import TaskShape

from ..images import check_images
from .spec import Bottleneck, MobileSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Mobile:
    """Inverted bottlenecks as in MobileNetV3 (Howard et al., arXiv 1905.02244, sections 3 and 5), ProxylessNAS (Cai et
    al., arXiv 1812.00332) and Once-for-All (Cai et al., arXiv 1908.09791).

    With kernels 3, 5, 7, expansions 3, 4, 6, depths 2 to 4 and five stages it is the space that section 3.2 of
    Once-for-All counts: ((3·3)² + (3·3)³ + (3·3)⁴)^5 = 7371^5 ≈ 2 · 10^19; resolutions are not searched. In general
    each stage has the sum over its depths of (kernels · expansions · gates)^depth ways, and their product is taken
    times the width multipliers. Beside the paper's, widths are multiples of 4, and the pool before the head is to 3×3.

    channels          of each stage, before the width multiplier
    strides           of the first layer of each stage: 1, or 2 to halve height and width
    depths            options for the layers of a stage
    kernels           options for the side of a layer's depthwise convolution; odd
    expansions        options for how many times as many channels a layer has inside
    squeeze_excite    options for whether a layer has the gate
    width_multipliers  options for what all channels are multiplied with
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
        check_numbers(self.name, "channels", self.channels, 1, LARGEST_WIDTH, distinct=False, longest=100)
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
        """The network; raises SpaceError where the task's inputs are not images that can be halved often enough."""
        from .network import MobileNetwork

        check_images(self.name, task, 1 + self.strides.count(2))
        return MobileNetwork(spec, task)

    def graph(self, spec: MobileSpec) -> nx.DiGraph:
        """The layers in a row, with all that tells one from another."""
        diagram = nx.DiGraph()
        diagram.add_node("input", op="input")
        diagram.add_node("stem", op=f"conv 3×3 /2\n{spec.stem}")
        diagram.add_edge("input", "stem")
        before, channels = "stem", spec.stem
        for number, layer in enumerate(spec.layers):
            name = f"layer{number}"
            diagram.add_node(name, op=_label(layer))
            diagram.add_edge(before, name)
            if layer.adds(channels):
                diagram.add_node(f"{name} sum", op="add")
                diagram.add_edges_from([(before, f"{name} sum"), (name, f"{name} sum")])
                name = f"{name} sum"
            before, channels = name, layer.channels
        diagram.add_node("output", op="output")
        diagram.add_edge(before, "output")
        return diagram


def _scaled(channels: int, multiplier: float) -> int:
    return max(4, 4 * round(channels * multiplier / 4))


def _label(layer: Bottleneck) -> str:
    stride = " /2" if layer.stride == 2 else ""
    gate = " SE" if layer.squeeze_excite else ""
    return f"{layer.kernel}×{layer.kernel} e{layer.expansion}{gate}{stride}\n{layer.channels}"
