"""Distributions over the architectures of any search space: one choice after another, by an LSTM or each by itself."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import decide, num_options, sample

INIT_RANGE = 0.08
MAX_REJECTED = 100


@dataclass(frozen=True)
class Step:
    """One choice that was made: option `index` of `options`."""

    name: str
    options: int
    index: int


Walks = Sequence[Sequence[Step]]


class Policy(Protocol):
    """What a policy gradient moves. `parameters` holds all that was met so far, by name, in the order of meeting."""

    @property
    def parameters(self) -> dict[str, Tensor]: ...

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """An architecture drawn from the policy. Raises SpaceError where the space rejects all that is drawn."""
        ...

    def log_probs(self, walks: Walks) -> tuple[Tensor, Tensor]:
        """For each walk (at least one step long): its log-probability, and the sum of its steps' entropies.

        Both (walks,), differentiable in `parameters`. The log-probability is that of the walk before rejection.
        """
        ...

    def moved(self) -> None:
        """Says that the parameters were changed."""
        ...


def steps_of(space: SearchSpace, architecture: Architecture) -> list[Step]:
    """The choices of an architecture as a walk. Raises SpaceError for one of another space."""
    return [Step(name, size, architecture.picks[name]) for name, size in num_options(space, architecture).items()]


class Adam:
    """torch's Adam on all parameters of a policy, those that are met later included."""

    def __init__(self, policy: Policy, lr: float) -> None:
        self._policy = policy
        self._num_trained = len(policy.parameters)
        groups = [{"params": list(policy.parameters.values())}]
        self._optimizer = torch.optim.Adam(groups, lr=lr)

    def descend(self, loss: Tensor) -> None:
        """One step against the gradient of a loss."""
        new = list(self._policy.parameters.values())[self._num_trained :]
        if new:
            self._optimizer.add_param_group({"params": new})
            self._num_trained += len(new)
        # To None, not zero: Adam must leave alone the choices that this batch did not meet.
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()
        self._policy.moved()


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, up to a hundred times where worker processes hold the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class LstmPolicy:
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
        """As `Policy.sample`."""
        with one_thread(), torch.no_grad():
            return _allowed(space, lambda: self._walk(space, rng), rng)

    def moved(self) -> None:
        """Nothing is kept that depends on them."""

    def log_probs(self, walks: Walks) -> tuple[Tensor, Tensor]:
        """As `Policy.log_probs`."""
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

    def _inputs(self, walks: Walks, choices: Sequence[tuple[str, int]]) -> Tensor:
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
        with torch.no_grad():
            return tensor.uniform_(-INIT_RANGE, INIT_RANGE, generator=_generator(self._seed, name))


class TablePolicy:
    """Each choice by itself: a softmax over the options of every choice, whatever was chosen before.

    A choice is known by its name and number of options. Logits start normal with standard deviation `spread`, from a
    generator derived from (seed, name), or at zero where that is 0.
    """

    def __init__(self, *, seed: int, spread: float = 0.0) -> None:
        self._seed = seed
        self._spread = spread
        self.parameters: dict[str, Tensor] = {}
        self._probabilities: dict[str, list[float]] = {}

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """As `Policy.sample`."""

        def pick(name: str, options: int) -> int:
            return rng.choices(range(options), self._chances(name, options))[0]

        return _allowed(space, lambda: decide(space, pick)[1], rng)

    def log_probs(self, walks: Walks) -> tuple[Tensor, Tensor]:
        """As `Policy.log_probs`."""
        made: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for walk, steps in enumerate(walks):
            for step in steps:
                made.setdefault((step.name, step.options), []).append((walk, step.index))
        log_probs, entropies, owners = [], [], []
        for (name, options), places in made.items():
            walk_ids, indices = torch.tensor(places).unbind(1)
            log_p = self._logits(name, options).log_softmax(0)
            log_probs.append(log_p[indices])
            entropies.append(-(log_p.exp() * log_p).sum().expand(len(indices)))
            owners.append(walk_ids)
        owner, zeros = torch.cat(owners), torch.zeros(len(walks))
        return zeros.index_add(0, owner, torch.cat(log_probs)), zeros.index_add(0, owner, torch.cat(entropies))

    def moved(self) -> None:
        """The probabilities are computed anew."""
        self._probabilities.clear()

    def _chances(self, name: str, options: int) -> list[float]:
        key = f"{options} {name}"
        if key not in self._probabilities:
            self._probabilities[key] = self._logits(name, options).detach().softmax(0).tolist()
        return self._probabilities[key]

    def _logits(self, name: str, options: int) -> Tensor:
        key = f"{options} {name}"
        if key not in self.parameters:
            normal = torch.randn(options, generator=_generator(self._seed, key))
            self.parameters[key] = (self._spread * normal).requires_grad_()
        return self.parameters[key]


def _allowed(space: SearchSpace, draw: Callable[[], Architecture], rng: random.Random) -> Architecture:
    """The first draw that is not rejected.

    After many rejections it is drawn uniformly instead: rejected walks have no score to be unlearned by, and a policy
    that has come to prefer them must not end the search. Raises SpaceError when the space rejects those too.
    """
    for _ in range(MAX_REJECTED):
        try:
            return draw()
        except Rejected:
            continue
    return sample(space, rng)


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
