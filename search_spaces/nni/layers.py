"""Replacements of NNI's and torch's layers that cannot be differentiated twice or exported.

They compute the same from the same weights.
"""

from __future__ import annotations

import numpy as np
import torch
from nni.nas.hub.pytorch.autoformer import RelativePosition2D
from nni.nas.hub.pytorch.modules.nasbench101 import _NasBench101CellFixed
from torch import Tensor, nn
from torch.nn import functional

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
DROP_PATHS = {"DropPath", "StochasticDepth"}
"""Names of classes that drop paths at random; NNI, timm and torchvision have one each."""


def replacement(layer: nn.Module) -> nn.Module | None:
    """The layer that replaces another; None if it can stay. Layers that drop values or paths become identities."""
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
    """torch's Hardsigmoid, composed of operations that have second derivatives."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, in and out; values in [0, 1]."""
        return functional.relu6(x + 3) / 6


class VertexCell(nn.Module):
    """Cell of NAS-Bench-101: each vertex applies its operation to the sum of its sources, the last concatenates them.

    Its sizes are Python's numbers, where NNI leaves numpy's, which cannot be exported.
    """

    def __init__(self, cell: _NasBench101CellFixed) -> None:
        super().__init__()
        self.projections, self.ops = cell.projections, cell.ops
        self.widths = [int(width) for width in cell.hidden_features]
        for layer in self.modules():
            numbers = {key: int(value) for key, value in vars(layer).items() if isinstance(value, np.integer)}
            vars(layer).update(numbers)
        matrix = cell.connection_matrix.tolist()
        self.sources = [[source for source in range(v) if matrix[source][v]] for v in range(len(matrix))]

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, height, width) in and out."""
        vertices = [x]
        for vertex, sources in enumerate(self.sources[1:-1], start=1):
            terms = [self._narrowed(vertices[source], source, vertex) for source in sources if source]
            terms += [self.projections[vertex](x)] if 0 in sources else []
            vertices.append(self.ops[vertex](sum(terms[1:], start=terms[0])))
        ends = [vertices[source] for source in self.sources[-1] if source]
        output = [torch.cat(ends, 1) if len(ends) > 1 else ends[0]] if ends else []
        output += [self.projections[-1](x)] if 0 in self.sources[-1] else []
        total: Tensor = sum(output[1:], start=output[0])
        return total

    def _narrowed(self, x: Tensor, source: int, target: int) -> Tensor:
        return x if self.widths[source] == self.widths[target] else x[:, : self.widths[target]]


class RelativePositions(nn.Module):
    """AutoFormer's embeddings of relative positions, for images of the size that the network is made for."""

    def __init__(self, positions: RelativePosition2D) -> None:
        super().__init__()
        self.embeddings_table_v, self.embeddings_table_h = positions.embeddings_table_v, positions.embeddings_table_h
        side = positions.length
        patch = torch.arange(side**2)
        for name, position in (("rows", patch // side), ("columns", patch % side)):
            entry = position[None] - position[:, None] + side + 1
            # Entry 0 of the table is for the class token, the first token.
            self.register_buffer(name, functional.pad(entry, (1, 0, 1, 0)), persistent=False)

    def forward(self, queries: int, keys: int) -> Tensor:
        """Embeddings (tokens, tokens, features of a head); the arguments are NNI's and have no effect."""
        rows: Tensor = self.embeddings_table_v[self.rows]
        columns: Tensor = self.embeddings_table_h[self.columns]
        return rows + columns
