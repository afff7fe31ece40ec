"""Choices of an NNI ModelSpace: its labels, and the conditions under which each is chosen.

A label inside a candidate of a LayerChoice is chosen only if the candidate is, one inside a block of a Repeat only if
the depth reaches the block. A label that several modules share is chosen once.
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
"""Value of each label; NNI's term."""


class Step(Protocol):
    """Step of deciding a sample: chooses the labels that are missing from it, and adds them."""

    def __call__(self, choose: Choose, sample: Sample) -> None: ...


@dataclass(frozen=True)
class OneOf:
    """Choice of one value."""

    label: str
    values: tuple[Any, ...]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        if self.label not in sample:
            sample[self.label] = choose(self.label, self.values)


@dataclass(frozen=True)
class SubsetOf:
    """Choice of several values, in their order: `num` of them, or any number if that is None."""

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
class InsideCandidate:
    """Steps inside the chosen candidate of a LayerChoice; no step if a constraint left the label undecided."""

    label: str
    steps: Mapping[Any, tuple[Step, ...]]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        run_steps(self.steps.get(sample.get(self.label), ()), choose, sample)


@dataclass(frozen=True)
class InsideBlocks:
    """Steps inside the blocks of a Repeat, up to its depth."""

    depth: Any
    blocks: tuple[tuple[Step, ...], ...]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        depth = self.depth.freeze(sample) if isinstance(self.depth, Mutable) else self.depth
        for block in self.blocks[:depth]:
            run_steps(block, choose, sample)


@dataclass(frozen=True)
class ConstraintStep:
    """Constraint: chooses the labels that it looks up, in that order, and rejects the sample if it does not hold."""

    constraint: Any
    steps: Mapping[str, Step]

    def __call__(self, choose: Choose, sample: Sample) -> None:
        error = self.constraint.check_contains(_LazySample(self.steps, choose, sample))
        if error is not None:
            choose.reject(str(error))


class _LazySample(dict[str, Any]):
    """Copy of a sample that chooses labels when they are looked up. What NNI writes into it stays in the copy."""

    def __init__(self, steps: Mapping[str, Step], choose: Choose, sample: Sample) -> None:
        super().__init__(sample)
        self._steps, self._choose, self._sample = steps, choose, sample

    def __contains__(self, label: object) -> bool:
        return super().__contains__(label) or label in self._steps

    def __missing__(self, label: str) -> Any:
        self._steps[label](self._choose, self._sample)
        self[label] = self._sample[label]
        return self[label]


def run_steps(steps: Iterable[Step], choose: Choose, sample: Sample) -> None:
    """Decide a sample step by step.

    Raises:
        Rejected: A constraint does not hold.
    """
    for step in steps:
        step(choose, sample)


def steps_of(space: ModelSpace) -> tuple[Step, ...]:
    """Steps that decide a sample of `space`.

    Labels that only `simplify` knows, of modules with a `leaf_mutables` of their own, are chosen last.

    Raises:
        SpaceError: A label is not a choice among finitely many values.
    """
    all_labels: set[str] = set()
    decided: set[str] = set()
    steps = (*_steps_inside(space, decided, all_labels),)
    hidden = [leaf for label, leaf in space.simplify().items() if label not in all_labels]
    return (*steps, *steps_of_mutables(hidden, decided, all_labels))


def first_values(space: ModelSpace) -> Sample:
    """A value of every label. NNI needs them all, because it also makes modules that are not chosen and drops them."""
    return {
        label: plain(list(leaf.values[: leaf.n_chosen]) if isinstance(leaf, CategoricalMultiple) else leaf.values[0])
        for label, leaf in space.simplify().items()
        if isinstance(leaf, Categorical | CategoricalMultiple)
    }


def _steps_inside(module: nn.Module, decided: set[str], all_labels: set[str]) -> Iterator[Step]:
    """The steps of a module.

    Args:
        module: Module to read.
        decided: Labels that are certain to be decided before the next step; extended.
        all_labels: Labels met so far; extended.
    """
    if isinstance(module, MutableModule):
        yield from steps_of_mutables(module.mutables, decided, all_labels, lazily=_freezes_itself(module))
    if isinstance(module, LayerChoice):
        steps = {name: (*_steps_inside(module[name], {*decided}, all_labels),) for name in module.names}
        if any(steps.values()):
            yield InsideCandidate(module.label, steps)
    elif isinstance(module, Repeat):
        decided_in_blocks = {*decided}  # a later block is there only if the earlier ones are
        blocks = (*((*_steps_inside(block, decided_in_blocks, all_labels),) for block in module.blocks),)
        if any(blocks):
            yield InsideBlocks(module.depth_choice, blocks)
    else:
        for child in module.children():
            yield from _steps_inside(child, decided, all_labels)


def _freezes_itself(module: MutableModule) -> bool:
    """Whether the module makes a network of a sample by code of its own, as NasBench101Cell does.

    It then needs only the labels that its constraint looks up, not all labels of the modules inside it.
    """
    ready_made = (LayerChoice, InputChoice, Repeat, ParametrizedModule)
    return not isinstance(module, ready_made) and bool(type(module).should_invoke_fixed_module())


def steps_of_mutables(
    mutables: Iterable[Mutable], decided: set[str], all_labels: set[str], *, lazily: bool = False
) -> Iterator[Step]:
    """The steps of mutables; with `lazily`, labels are chosen only when a constraint looks them up."""
    for mutable in mutables:
        leaves = mutable.simplify()
        symbols = {label: leaf for label, leaf in leaves.items() if isinstance(leaf, MutableSymbol)}
        steps = {label: _step_of_leaf(leaf) for label, leaf in symbols.items() if label not in decided}
        constraints = [leaf for label, leaf in leaves.items() if isinstance(leaf, Constraint) and label not in decided]
        if not (lazily and constraints):
            yield from steps.values()
        yield from (ConstraintStep(constraint, steps) for constraint in constraints)
        decided.update(leaves)
        all_labels.update(leaves)


def _step_of_leaf(leaf: MutableSymbol) -> Step:
    if isinstance(leaf, CategoricalMultiple):
        return SubsetOf(leaf.label, tuple(leaf.values), leaf.n_chosen)
    if isinstance(leaf, Categorical):
        return OneOf(leaf.label, tuple(leaf.values))
    kind = type(leaf).__name__
    raise SpaceError(f"label {leaf.label!r} is a {kind}, not a choice among values that can be listed; use nni.choice")
