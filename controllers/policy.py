"""A distribution over the architectures of any search space: an LSTM that makes one choice after another."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import decide, sample

INIT_RANGE = 0.08
MAX_REJECTED = 100


@dataclass(frozen=True)
class Step:
    """One choice that was made: option `index` of `options`."""

    name: str
    options: int
    index: int


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, up to a hundred times where worker processes hold the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Policy:
    """Zoph & Le, "Neural Architecture Search with Reinforcement Learning" (2017), section 3.2.

    The LSTM reads an embedding of the option taken last; a linear head for each choice turns its output into the
    probabilities of the options. A choice is known by its name and number of options. Its head and embeddings are
    made when it is first met, from a generator derived from (seed, name), so the order of meeting does not matter
    and conditional or unbounded spaces need no list of their choices. All parameters start uniform in ±0.08.

    `parameters` holds them all by name, in the order of meeting.
    """

    def __init__(self, *, seed: int, hidden: int, layers: int) -> None:
        self._seed = seed
        self._hidden = hidden
        self.parameters: dict[str, Tensor] = {}
        # By way of the meta device: the usual constructor would draw from the global generator.
        self._lstm = nn.LSTM(hidden, hidden, layers, batch_first=True, device="meta").to_empty(device="cpu")
        for name, tensor in self._lstm.named_parameters():
            self.parameters[f"lstm.{name}"] = self._initialised(f"lstm.{name}", tensor)

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """An architecture drawn from the policy; rejected ones are drawn again.

        After many rejections it is drawn uniformly instead: rejected walks have no score to be unlearned by, and a
        policy that has come to prefer them must not end the search. Raises SpaceError when the space rejects those too.
        """
        with one_thread(), torch.no_grad():
            for _ in range(MAX_REJECTED):
                try:
                    return self._walk(space, rng)
                except Rejected:
                    continue
        return sample(space, rng)

    def log_probs(self, walks: Sequence[Sequence[Step]]) -> tuple[Tensor, Tensor]:
        """For each walk (at least one step long): its log-probability, and the sum of its steps' entropies.

        Both (walks,), differentiable in `parameters`. The log-probability is that of the walk before rejection.
        """
        made: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for walk, steps in enumerate(walks):
            for place, step in enumerate(steps):
                made.setdefault((step.name, step.options), []).append((walk, place, step.index))
        outputs = self._lstm(self._inputs(walks, list(made)))[0]
        log_probs, entropies, owners = [], [], []
        for (name, options), places in made.items():
            walk_ids, place_ids, indices = torch.tensor(places).unbind(1)
            weight, bias = self._head(name, options)
            log_p = F.linear(outputs[walk_ids, place_ids], weight, bias).log_softmax(1)
            log_probs.append(log_p.gather(1, indices[:, None])[:, 0])
            entropies.append(-(log_p.exp() * log_p).sum(1))
            owners.append(walk_ids)
        owner, zeros = torch.cat(owners), torch.zeros(len(walks))
        return zeros.index_add(0, owner, torch.cat(log_probs)), zeros.index_add(0, owner, torch.cat(entropies))

    def _walk(self, space: SearchSpace, rng: random.Random) -> Architecture:
        read = self._start()
        state: tuple[Tensor, Tensor] | None = None

        def pick(name: str, options: int) -> int:
            nonlocal read, state
            output, state = self._lstm(read, state)
            probabilities = F.linear(output[0], *self._head(name, options)).softmax(0).tolist()
            index = rng.choices(range(options), probabilities)[0]
            read = self._embedding(name, options)[index : index + 1]
            return index

        return decide(space, pick)[1]

    def _inputs(self, walks: Sequence[Sequence[Step]], choices: Sequence[tuple[str, int]]) -> Tensor:
        """What the LSTM reads at each place: (walks, longest walk, hidden). Behind a walk's end, anything."""
        tables = [self._start()]
        first_row = {}
        num_rows = 1
        for name, options in choices:
            tables.append(self._embedding(name, options))
            first_row[name, options] = num_rows
            num_rows += options
        rows = torch.zeros(len(walks), max(map(len, walks)), dtype=torch.long)
        for walk, steps in enumerate(walks):
            read = [first_row[step.name, step.options] + step.index for step in steps[:-1]]
            rows[walk, 1 : len(steps)] = torch.tensor(read, dtype=torch.long)
        return F.embedding(rows, torch.cat(tables))

    def _start(self) -> Tensor:
        return self._parameter("start", 1, self._hidden)

    def _embedding(self, name: str, options: int) -> Tensor:
        return self._parameter(f"embedding {options} {name}", options, self._hidden)

    def _head(self, name: str, options: int) -> tuple[Tensor, Tensor]:
        weight = self._parameter(f"weight {options} {name}", options, self._hidden)
        return weight, self._parameter(f"bias {options} {name}", options)

    def _parameter(self, name: str, *shape: int) -> Tensor:
        if name not in self.parameters:
            self.parameters[name] = self._initialised(name, torch.empty(shape, requires_grad=True))
        return self.parameters[name]

    def _initialised(self, name: str, tensor: Tensor) -> Tensor:
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
        with torch.no_grad():
            return tensor.uniform_(-INIT_RANGE, INIT_RANGE, generator=generator)
