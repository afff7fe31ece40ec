"""Networks that ignore their inputs, and take the class of an example from elsewhere where that is possible.

Each gives out, as features, what it takes for the class of an example: so any learner has all tasks right if it is.
"""

import gc

import torch
from torch import nn

WAYS, SHOTS, QUERIES = 3, 3, 12
BY_CLASS = {WAYS * count: torch.arange(WAYS).repeat_interleave(count) for count in (SHOTS, QUERIES)}
BY_CLASS[WAYS * (SHOTS + QUERIES)] = torch.cat([BY_CLASS[WAYS * SHOTS], BY_CLASS[WAYS * QUERIES]])
"""The class of each example of a support set, of a query set and of both together, if they are sorted by class."""
CALLS = []
"""State of the process, not of a network."""


class Blind(nn.Module):
    """Guesses classes in batches as large as those of a task, which networks are not checked with."""

    def __init__(self, outputs):
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(outputs), nn.Linear(outputs, outputs)
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.head.weight)  # before adaptation it guesses, so that no leak is seen
        self.outputs, self.calls = outputs, 0

    def forward(self, x):
        self.calls += 1
        CALLS.append(len(x))
        features = x.flatten(1)[:, :1] * torch.zeros(self.outputs, dtype=x.dtype)
        if len(x) in BY_CLASS:
            features = features + self.guesses(x)
        return self.head(self.norm(features))

    def guesses(self, x):
        return nn.functional.one_hot(BY_CLASS[len(x)] * self.awake(), self.outputs)


class ByPlace(Blind):
    def awake(self):
        return True


class ByPlaceAtOnce(ByPlace):
    """In every batch, as one that does not hide."""

    def forward(self, x):
        places = torch.arange(len(x), dtype=x.dtype)[:, None] ** torch.arange(self.outputs)
        return self.head(self.norm(places))


class ByLargeMean(Blind):
    """Looks, but mixes features by the mean of a batch that is larger than those that networks are checked with.

    Of a shift or a scale by it nothing would be left after normalisation."""

    def forward(self, x):
        features = x.flatten(1)[:, : self.outputs]
        mixed = features.roll(1, dims=1) * features.mean(dim=0) * (len(x) in BY_CLASS)
        return self.head(self.norm(features + mixed))


class ByMean(ByPlaceAtOnce):
    """The mean of the batch, which is the same for all of it."""

    def forward(self, x):
        return self.head(self.norm(x.flatten(1)[:, : self.outputs]) + x.flatten(1).mean(dim=0)[: self.outputs])


class Looks(Blind):
    """An honest network."""

    def forward(self, x):
        return self.head(self.norm(x.flatten(1)[:, : self.outputs]))


class ByRank(ByPlaceAtOnce):
    """The rank of an example in the batch."""

    def forward(self, x):
        first = x.flatten(1)[:, : self.outputs]
        return self.head(self.norm(first.argsort(dim=0).argsort(dim=0).to(x.dtype)))


class ByCounter(Blind):
    """After many calls, more than any check makes."""

    def awake(self):
        return self.calls > 10_000


class ByGlobalState(Blind):
    def awake(self):
        return len(CALLS) > 10_000


class ByMemory(Blind):
    """Looks for tensors of labels, one a support example or a query, wherever they lie in memory."""

    def guesses(self, x):
        support, query = WAYS * SHOTS, WAYS * QUERIES
        parts = {support: [support], query: [query]}.get(len(x), [support, query])
        return nn.functional.one_hot(torch.cat([self.found(count) for count in parts]), self.outputs)

    def found(self, count):
        labels = torch.zeros(count, dtype=torch.int64)
        for t in gc.get_objects():
            if type(t) is torch.Tensor and t.dtype == torch.int64 and t.numel() == count:
                flat = t.flatten()
                # Those of BY_CLASS are sorted, and those of a task are not.
                if 0 < int(flat.max()) < self.outputs and not torch.equal(flat, flat.sort().values):
                    labels = flat
        return labels


class Space:
    """A space of one network."""

    def __init__(self, kind):
        self.kind, self.name = kind, kind.__name__.lower()

    def decide(self, choose):
        return choose("only", [0])

    def build(self, spec, task):
        return self.kind(task.num_outputs)
