"""The choices of an NNI ModelSpace, read once from its modules: which labels there are, and when each is asked for.

A LayerChoice asks for the labels inside a candidate only where that candidate is chosen, a Repeat for those of its
blocks only up to the depth. Each label is asked for once, however many modules share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nni.mutable import Categorical, CategoricalMultiple, Constraint, Mutable, MutableSymbol
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableModule, ParametrizedModule, Repeat
from torch import nn

from nas.errors import SpaceError
from nas.options import plain
from nas.space import Choose

Sample = dict[str, Any]
"""A value for each label: what NNI calls a sample."""


class Step(Protocol):
    """Something to settle: asks `choose` for the labels that are missing from the sample, and adds them to it."""

    def __call__(self, choose: Choose, sample: Sample) -> None: ...


@dataclass(frozen=True)
class One:
    """One of some values."""

    label: str
    values: tuple[Any, ...]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        if self.label not in sample:
            sample[self.label] = choose(self.label, self.values)


@dataclass(frozen=True)
class Some:
    """Several of some values, in their order: `num` of them, or any number where that is None."""

    label: str
    values: tuple[Any, ...]
    num: int | None

    def __call__(self, choose: Choose, sample: Sample) -> None:
        if self.label in sample:
            return
        if self.num == 1:
            sample[self.label] = [choose(self.label, self.values)]
        else:
            sample[self.label] = choose.subset(self.label, self.values, min=self.num or 0, max=self.num)


@dataclass(frozen=True)
class Chosen:
    """What is inside the candidate that a LayerChoice chose, if it was asked: a constraint may have passed it over."""

    label: str
    inside: Mapping[Any, tuple[Step, ...]]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        settle(self.inside.get(sample.get(self.label), ()), choose, sample)


@dataclass(frozen=True)
class Repeated:
    """What is inside the blocks of a Repeat, up to its depth."""

    depth: Any
    blocks: tuple[tuple[Step, ...], ...]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        depth = self.depth.freeze(sample) if isinstance(self.depth, Mutable) else self.depth
        for block in self.blocks[:depth]:
            settle(block, choose, sample)


@dataclass(frozen=True)
class Kept:
    """A constraint: asks for the labels that it looks at, in that order, and rejects what it does not allow."""

    constraint: Any
    about: Mapping[str, Step]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        error = self.constraint.check_contains(_Asking(self.about, choose, sample))
        if error is not None:
            choose.reject(str(error))


class _Asking(dict[str, Any]):
    """A copy of a sample that asks for labels as they are looked up. What is written into it stays in the copy."""

    def __init__(self, about: Mapping[str, Step], choose: Choose, sample: Sample) -> None:
        super().__init__(sample)
        self._about, self._choose, self._sample = about, choose, sample

    def __contains__(self, label: object) -> bool:
        return super().__contains__(label) or label in self._about

    def __missing__(self, label: str) -> Any:
        self._about[label](self._choose, self._sample)
        self[label] = self._sample[label]
        return self[label]


def settle(steps: Iterable[Step], choose: Choose, sample: Sample) -> None:
    """Takes the steps in turn. Raises Rejected where a constraint does not hold."""
    for step in steps:
        step(choose, sample)


def steps_of(space: ModelSpace) -> tuple[Step, ...]:
    """All that `space` needs to have decided. Raises SpaceError for a label that is no choice among finitely many.

    Labels that only `simplify` knows, of modules with a `leaf_mutables` of their own, are asked for last.
    """
    met: set[str] = set()
    known: set[str] = set()
    steps = (*_inside(space, known, met),)
    hidden = [leaf for label, leaf in space.simplify().items() if label not in met]
    return (*steps, *_mutables(hidden, known, met))


def first_values(space: ModelSpace) -> Sample:
    """A value for every label: NNI also makes what is not chosen, before it throws that away, and looks them up."""
    return {
        label: plain(list(leaf.values[: leaf.n_chosen]) if isinstance(leaf, CategoricalMultiple) else leaf.values[0])
        for label, leaf in space.simplify().items()
        if isinstance(leaf, Categorical | CategoricalMultiple)
    }


def _inside(module: nn.Module, known: set[str], met: set[str]) -> Iterator[Step]:
    """The steps of a module. Added to are `known`, the labels that are settled when the next step begins, and `met`,
    all labels so far."""
    if isinstance(module, MutableModule):
        yield from _mutables(module.mutables, known, met, lazily=_makes_itself(module))
    if isinstance(module, LayerChoice):
        inside = {name: (*_inside(module[name], {*known}, met),) for name in module.names}
        if any(inside.values()):
            yield Chosen(module.label, inside)
    elif isinstance(module, Repeat):
        deeper = {*known}
        blocks = (*((*_inside(block, deeper, met),) for block in module.blocks),)
        if any(blocks):
            yield Repeated(module.depth_choice, blocks)
    else:
        for child in module.children():
            yield from _inside(child, known, met)


def _makes_itself(module: MutableModule) -> bool:
    """Whether the module turns a sample into a network by code of its own, as NasBench101Cell does: it then needs only
    the labels that its constraint looks at, not all that the modules inside it would."""
    ready_made = (LayerChoice, InputChoice, Repeat, ParametrizedModule)
    return not isinstance(module, ready_made) and bool(type(module).should_invoke_fixed_module())


def _mutables(mutables: Iterable[Mutable], known: set[str], met: set[str], *, lazily: bool = False) -> Iterator[Step]:
    for mutable in mutables:
        leaves = mutable.simplify()
        symbols = {label: leaf for label, leaf in leaves.items() if isinstance(leaf, MutableSymbol)}
        asked = {label: _asked(leaf) for label, leaf in symbols.items() if label not in known}
        constraints = [leaf for label, leaf in leaves.items() if isinstance(leaf, Constraint) and label not in known]
        if not (lazily and constraints):
            yield from asked.values()
        yield from (Kept(constraint, asked) for constraint in constraints)
        known.update(leaves)
        met.update(leaves)


def _asked(leaf: MutableSymbol) -> Step:
    if isinstance(leaf, CategoricalMultiple):
        return Some(leaf.label, tuple(leaf.values), leaf.n_chosen)
    if isinstance(leaf, Categorical):
        return One(leaf.label, tuple(leaf.values))
    kind = type(leaf).__name__
    raise SpaceError(f"label {leaf.label!r} is a {kind}, not a choice among values that can be listed; use nni.choice")
