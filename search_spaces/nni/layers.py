"""Layers that stand in for some of NNI's and torch's: they compute the same from the same weights, and can be
differentiated twice and exported."""

from __future__ import annotations

import numpy as np
import torch
from nni.nas.hub.pytorch.autoformer import RelativePosition2D
from nni.nas.hub.pytorch.modules.nasbench101 import _NasBench101CellFixed
from torch import Tensor, nn
from torch.nn import functional

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
DROP_PATHS = {"DropPath", "StochasticDepth"}
"""What layers are called that leave out paths at random; NNI, timm and torchvision have one each."""


def stand_in(layer: nn.Module) -> nn.Module | None:
    """What a layer is replaced by; None where it can stay. Layers that drop at random become identities."""
    if isinstance(layer, DROPOUTS) or type(layer).__name__ in DROP_PATHS:
        return nn.Identity()
    if isinstance(layer, nn.Hardsigmoid):
        return HardSigmoid()
    if isinstance(layer, _NasBench101CellFixed):
        return VertexCell(layer)
    if isinstance(layer, RelativePosition2D):
        return RelativePositions(layer)
    return None


class HardSigmoid(nn.Module):
    """torch's Hardsigmoid, of operations that have second derivatives."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, in and out; values in [0, 1]."""
        return functional.relu6(x + 3) / 6


class VertexCell(nn.Module):
    """A cell of NAS-Bench-101: each vertex applies its operation to the sum of what leads to it, the last joins.

    Here its numbers are Python's, where NNI leaves numpy's, which cannot be exported.
    """

    def __init__(self, cell: _NasBench101CellFixed) -> None:
        super().__init__()
        self.projections, self.ops = cell.projections, cell.ops
        self.widths = [int(width) for width in cell.hidden_features]
        for layer in self.modules():
            numbers = {key: int(value) for key, value in vars(layer).items() if isinstance(value, np.integer)}
            vars(layer).update(numbers)
        matrix = cell.connection_matrix.tolist()
        self.sources = [[source for source in range(to) if matrix[source][to]] for to in range(len(matrix))]

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, height, width) in and out."""
        vertices = [x]
        for to, sources in enumerate(self.sources[1:-1], start=1):
            parts = [self._narrowed(vertices[source], source, to) for source in sources if source]
            parts += [self.projections[to](x)] if 0 in sources else []
            vertices.append(self.ops[to](sum(parts[1:], start=parts[0])))
        joined = [vertices[source] for source in self.sources[-1] if source]
        output = [torch.cat(joined, 1) if len(joined) > 1 else joined[0]] if joined else []
        output += [self.projections[-1](x)] if 0 in self.sources[-1] else []
        total: Tensor = sum(output[1:], start=output[0])
        return total

    def _narrowed(self, x: Tensor, source: int, to: int) -> Tensor:
        return x if self.widths[source] == self.widths[to] else x[:, : self.widths[to]]


class RelativePositions(nn.Module):
    """AutoFormer's embeddings of relative positions, for the one size of images that the network is made for."""

    def __init__(self, positions: RelativePosition2D) -> None:
        super().__init__()
        self.embeddings_table_v, self.embeddings_table_h = positions.embeddings_table_v, positions.embeddings_table_h
        side = positions.length
        patch = torch.arange(side**2)
        for name, place in (("rows", patch // side), ("columns", patch % side)):
            entry = place[None] - place[:, None] + side + 1
            self.register_buffer(name, functional.pad(entry, (1, 0, 1, 0)), persistent=False)  # 0 is the class token's

    def forward(self, queries: int, keys: int) -> Tensor:
        """(tokens, tokens, features of a head)."""
        rows: Tensor = self.embeddings_table_v[self.rows]
        columns: Tensor = self.embeddings_table_h[self.columns]
        return rows + columns
