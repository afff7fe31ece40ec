"""Networks of `transformer`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.task import TaskShape

from ..patches import Patches
from .spec import Encoder, EncoderLayer


class Attention(nn.Module):
    """Multi-head self-attention, softmax(QKᵀ / √head_dim) V in each head.

    It is written out because torch's fused kernels have no second derivative.
    """

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(width, 3 * heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, tokens, width) in and out."""
        parts = torch.unflatten(self.qkv(x), 2, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts[0], parts[1], parts[2]
        scores = queries @ keys.transpose(2, 3) * self.head_dim**-0.5
        mixed: Tensor = self.out((scores.softmax(3) @ values).transpose(1, 2).flatten(2))
        return mixed


class Layer(nn.Module):
    """Pre-norm encoder layer: attention, then a feed-forward part, each with a residual connection."""

    def __init__(self, width: int, layer: EncoderLayer, head_dim: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, layer.heads, head_dim))
        self.forwards = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, layer.hidden), nn.GELU(), nn.Linear(layer.hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(examples, tokens, width) in and out."""
        x = x + self.attention(x)
        y: Tensor = x + self.forwards(x)
        return y


class TransformerNetwork(nn.Module):
    """Embedded patches with learned positions, layers, normalisation, mean of the tokens, linear head."""

    def __init__(self, spec: Encoder, task: TaskShape, *, head_dim: int, max_tokens: int) -> None:
        super().__init__()
        self.patches = Patches(task.input_shape, max_tokens)
        self.embedding = nn.Linear(self.patches.numbers, spec.width)
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(self.patches.count, spec.width), std=0.02))
        self.layers = nn.Sequential(*(Layer(spec.width, layer, head_dim) for layer in spec.layers))
        self.norm = nn.LayerNorm(spec.width)
        self.head = nn.Linear(spec.width, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embedding(self.patches(x)) + self.position
        logits: Tensor = self.head(self.norm(self.layers(tokens)).mean(1))
        return logits
