"""Networks as users write them that torch.fx cannot trace or print: checks, attention and loops over time.

Each takes inputs SHAPE and gives 5 outputs; CLASSES maps a name to its class.
"""

import torch
from torch import nn

SHAPE = (1, 6, 8)


class Asserts(nn.Module):
    """Follows the task's shape, and says so."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Linear(4, 5)

    def forward(self, x):
        assert x.dim() == 4
        if x.shape[1:] != SHAPE:
            raise ValueError(x.shape)
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 5)

    def forward(self, x):
        x = x[:, 0]
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(6, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.encoder(x[:, 0] + self.place).mean(1))


class Loop(nn.Module):
    """A recurrence written as a loop, from a state that is made in forward."""

    def __init__(self):
        super().__init__()
        self.enter, self.again, self.head = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x):
        state = x.new_zeros(x.shape[0], 6)
        for step in range(x.shape[2]):
            state = torch.tanh(self.enter(x[:, 0, step]) + self.again(state))
        return self.head(state)


class Cell(nn.Module):
    """A recurrent cell of torch in a loop, whose state is as large as len() says."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(8, 6), nn.Linear(6, 5)

    def forward(self, x):
        state = torch.zeros(len(x), 6)
        for step in range(x.size(2)):
            state = self.cell(x[:, 0, step], state)
        return self.head(state)


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.GRU(8, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.body(x[:, 0])[0][:, -1])


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.LSTM(8, 6, batch_first=True, bidirectional=True), nn.Linear(12, 5)

    def forward(self, x):
        assert x.shape[0] > 0
        return self.head(self.body(x[:, 0])[0][:, -1])


class Written(nn.Module):
    """Writes into a tensor, with constants that are no buffers."""

    def __init__(self):
        super().__init__()
        self.scale, self.head = torch.tensor([1.0, -2.0, 0.5]), nn.Linear(8, 5)

    def forward(self, x):
        out = x.mean(2)[:, 0].clone()
        out[:, :3] = out[:, :3] * self.scale
        out += torch.tensor(0.25)
        return self.head(out)


class Orthogonal(nn.Module):
    """A parametrized layer, whose weight is computed with a property of tensors."""

    def __init__(self):
        super().__init__()
        self.body = nn.utils.parametrizations.orthogonal(nn.Linear(8, 8), orthogonal_map="cayley")
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.body(x.mean(2)[:, 0]))


class Arguments(nn.Module):
    """Does not name its input."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 5)

    def forward(self, *args):
        return self.head(args[0].mean(2)[:, 0])


class Branch(nn.Module):
    """A branch on values that torch can follow, and no source holds."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.head(x.mean(2)[:, 0])
        return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))


class Hidden(nn.Module):
    """A branch on values that nothing can follow, the same way for every batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.head(x.mean(2)[:, 0])
        return x if x.sum() < 1e9 else -x


CLASSES = {
    kind.__name__: kind
    for kind in (Asserts, Attention, Encoder, Loop, Cell, Gru, Lstm, Written, Orthogonal, Arguments, Branch, Hidden)
}
WRITTEN = [name for name in CLASSES if name not in ("Branch", "Hidden")]


def made(name):
    torch.manual_seed(0)
    return CLASSES[name]()
