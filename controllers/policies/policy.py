"""Distributions over the architectures of any search space: one choice after another, by an LSTM or each by itself."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import decide, num_options, sample

from . import lstm
from .likelihood import Indices, Likelihood, Step, Steps, Walks
from .lstm import Array

INIT_RANGE = 0.08
MAX_REJECTED = 100


class Policy(Protocol):
    """What a policy gradient moves.

    `parameters` holds all that was met so far, by name, in the order of meeting. Its arrays are put in each other's
    place, never changed.
    """

    @property
    def parameters(self) -> dict[str, Array]: ...

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """An architecture drawn from the policy. Raises SpaceError where the space rejects all that is drawn."""
        ...

    def likelihood(self, walks: Walks) -> Likelihood:
        """What the policy says of some walks, each at least one step long, before rejection."""
        ...


def steps_of(space: SearchSpace, architecture: Architecture) -> list[Step]:
    """The choices of an architecture as a walk. Raises SpaceError for one of another space."""
    return [Step(name, size, architecture.picks[name]) for name, size in num_options(space, architecture).items()]


class LstmPolicy:
    """Zoph & Le, "Neural Architecture Search with Reinforcement Learning" (2017), section 3.2.

    The LSTM reads an embedding of the option taken last; a linear head for each choice turns its output into the
    probabilities of the options. A choice is known by its name and number of options. Its head and embeddings are
    made when it is first met, from a generator derived from (seed, name), so the order of meeting does not matter
    and conditional or unbounded spaces need no list of their choices. All parameters start uniform in ±0.08.
    """

    def __init__(self, *, seed: int, hidden: int, layers: int) -> None:
        self._seed, self._hidden, self._layers = seed, hidden, layers
        self.parameters: dict[str, Array] = {}

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """As `Policy.sample`."""
        return _allowed(space, lambda: self._walk(space, rng), rng)

    def likelihood(self, walks: Walks) -> Likelihood:
        """As `Policy.likelihood`."""
        made = Steps.of(walks)
        tables = [self._start(), *(self._embedding(*choice) for choice in made.choices)]
        rows = made.rows_read()
        outputs, back = lstm.forward(self._lstm(), np.concatenate(tables)[rows])
        read = made.split(outputs[made.place, made.walk])
        heads = [self._head(*choice) for choice in made.choices]
        logits = [part @ weight.T + bias for part, (weight, bias) in zip(read, heads, strict=True)]

        def gradient(by_logits: Sequence[Array]) -> dict[str, Array]:
            by_outputs = np.zeros_like(outputs)
            by_read = [by @ weight for by, (weight, _) in zip(by_logits, heads, strict=True)]
            by_outputs[made.place, made.walk] = np.concatenate(by_read)
            by_layers, by_inputs = back(by_outputs)
            found = {f"lstm {number}": by for number, by in enumerate(by_layers)}
            found["start"], *by_embeddings = _by_tables(tables, rows, by_inputs)
            parts = zip(made.choices, by_embeddings, by_logits, read, strict=True)
            for (name, options), by_embedding, by, part in parts:
                found[f"embedding {options} {name}"] = by_embedding
                found[f"weight {options} {name}"] = by.T @ part
                found[f"bias {options} {name}"] = by.sum(0)
            return found

        return made.likelihood(logits, gradient)

    def _walk(self, space: SearchSpace, rng: random.Random) -> Architecture:
        layers, read = self._lstm(), self._start()[0]
        state = lstm.start(layers)

        def pick(name: str, options: int) -> int:
            nonlocal read, state
            output, state = lstm.step(layers, read, state)
            weight, bias = self._head(name, options)
            index = rng.choices(range(options), cum_weights=_cumulative(weight @ output + bias))[0]
            read = self._embedding(name, options)[index]
            return index

        return decide(space, pick)[1]

    def _lstm(self) -> list[Array]:
        return [self._parameter(f"lstm {number}", *lstm.shape(self._hidden)) for number in range(self._layers)]

    def _start(self) -> Array:
        return self._parameter("start", 1, self._hidden)

    def _embedding(self, name: str, options: int) -> Array:
        return self._parameter(f"embedding {options} {name}", options, self._hidden)

    def _head(self, name: str, options: int) -> tuple[Array, Array]:
        weight = self._parameter(f"weight {options} {name}", options, self._hidden)
        return weight, self._parameter(f"bias {options} {name}", options)

    def _parameter(self, name: str, *shape: int) -> Array:
        if name not in self.parameters:
            self.parameters[name] = _generator(self._seed, name).uniform(-INIT_RANGE, INIT_RANGE, shape)
        return self.parameters[name]


class TablePolicy:
    """Each choice by itself: a softmax over the options of every choice, whatever was chosen before.

    A choice is known by its name and number of options. Logits start normal with standard deviation `spread`, from a
    generator derived from (seed, name), or at zero where that is 0.
    """

    def __init__(self, *, seed: int, spread: float = 0.0) -> None:
        self._seed, self._spread = seed, spread
        self.parameters: dict[str, Array] = {}
        self._weights: dict[str, tuple[Array, list[float]]] = {}

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """As `Policy.sample`."""

        def pick(name: str, options: int) -> int:
            return rng.choices(range(options), cum_weights=self._cumulative(name, options))[0]

        return _allowed(space, lambda: decide(space, pick)[1], rng)

    def likelihood(self, walks: Walks) -> Likelihood:
        """As `Policy.likelihood`."""
        made = Steps.of(walks)
        logits = [self._logits(*choice)[None].repeat(n, 0) for choice, n in zip(made.choices, made.counts, strict=True)]

        def gradient(by_logits: Sequence[Array]) -> dict[str, Array]:
            choices = zip(made.choices, by_logits, strict=True)
            return {f"{options} {name}": by.sum(0) for (name, options), by in choices}

        return made.likelihood(logits, gradient)

    def _cumulative(self, name: str, options: int) -> list[float]:
        """As `_cumulative`, kept while the logits stand: for a predictor's pool they are drawn from a hundred times."""
        key, logits = f"{options} {name}", self._logits(name, options)
        if key not in self._weights or self._weights[key][0] is not logits:
            self._weights[key] = logits, _cumulative(logits)
        return self._weights[key][1]

    def _logits(self, name: str, options: int) -> Array:
        key = f"{options} {name}"
        if key not in self.parameters:
            self.parameters[key] = self._spread * _generator(self._seed, key).standard_normal(options)
        return self.parameters[key]


def _by_tables(tables: Sequence[Array], rows: Indices, by_inputs: Array) -> list[Array]:
    """A loss's derivatives by each table, given those by the rows that were read of all of them together."""
    found = np.zeros((sum(map(len, tables)), by_inputs.shape[-1]))
    np.add.at(found, rows, by_inputs)
    return np.split(found, np.cumsum([len(table) for table in tables[:-1]]))


def _cumulative(logits: Array) -> list[float]:
    """The options' probabilities as sums from the first to each, in a unit of their own."""
    sums: list[float] = np.exp(logits - logits.max()).cumsum().tolist()
    return sums


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


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
