"""Conformance report of a search space for `nas check`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import fmean, median
from timeit import timeit
from typing import TYPE_CHECKING, Any

from ..architecture import Architecture
from ..errors import NasError, Rejected, SpaceError, UncountedError
from ..executors.process_executor import ProcessExecutor
from ..export.exportable import REMEDY, first_not_source
from ..failures import attempt, reason
from ..networks.size import check_size
from ..protocols.evaluators import Costed
from ..protocols.learners import Learner, SecondOrder
from ..protocols.spaces import SearchSpace
from ..registry import components
from ..space.enumeration import Count, count
from ..space.identity import network_key
from ..space.sampling import MAX_TRIES, replay
from ..task import TaskShape
from ..testing.networks import check_networks
from ..testing.spaces import check_space
from .space import CheckedSpace, check_fingerprint, fingerprint, sample_checked

if TYPE_CHECKING:
    import torch

SAMPLES, BUILDS = 1000, 20  # random architectures that are decided, and how many of them are built
SUITED, EXPORTED = 3, 5
"""Networks that each learner is tried on, and networks whose export is tried."""
SIZED, SIZED_S = 200, 20.0
"""Networks whose sizes are taken for the histogram, and the seconds after which no other is."""
LIMIT_S = 1800.0  # of the whole check
BATCH, BARS, WIDTH = 10, 8, 30  # inputs of the timed pass; bars and characters of the histogram


@dataclass(frozen=True)
class SuitableLearners:
    """Learners that can train a space's networks.

    Attributes:
        suitable: Names of the learners that can.
        unsuitable: For each other learner, by name, the reason why it cannot.
    """

    suitable: tuple[str, ...]
    unsuitable: Mapping[str, str]

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = {}
        for name, why in self.unsuitable.items():
            reasons.setdefault(why, []).append(name)
        texts = [f"not {', '.join(names)}: {why}" for why, names in reasons.items()]
        return "; ".join([f"suits {', '.join(self.suitable) or 'none'}", *texts])


class UnsuitableTask(SpaceError):
    """The space refuses the task's shape with a SpaceError of its own, which is no fault of the space."""


@dataclass(frozen=True)
class Verdict:
    """Measurements of a sound search space.

    Attributes:
        name: Name of the space.
        shape: Shape of the task that networks were built for.
        samples: Number of random architectures.
        builds: Number of them that were built.
        size: Number of architectures of the space.
        rejected: Share of the draws that the space rejected, in [0, 1).
        same_choices: Share of the samples with the choices of an earlier one.
        same_network: Share of the samples with the network of an earlier one, by `nas.space.identity.network_key`.
        parameters: Number of parameters of each network that was sized.
        flops: FLOPs of each of them for one input; lower bounds unless `flops_counted`.
        flops_counted: Whether all operations could be counted.
        decide_s: Mean time of one `decide`, in seconds.
        build_s: Mean time of one `build`, in seconds.
        step_s: Mean time of one forward and backward pass of BATCH inputs on one thread of the CPU, in seconds.
        kept_bytes: Bytes kept for the gradient of one input, for each network that was built.
        learner: Name of the learner that the networks were tried with.
        suits: All learners that can train the networks.
        exported: File in which the networks' forward can be exported, with the reason where it is no source.
    """

    name: str
    shape: TaskShape
    samples: int
    builds: int
    size: Count
    rejected: float
    same_choices: float
    same_network: float
    parameters: tuple[int, ...]
    flops: tuple[int, ...]
    flops_counted: bool
    decide_s: float
    build_s: float
    step_s: float
    kept_bytes: tuple[int, ...]
    learner: str
    suits: SuitableLearners
    exported: str

    def __str__(self) -> str:
        rows = {
            "architectures": str(self.size),
            "rejected": f"{self.rejected:.1%} of draws",
            "duplicates": f"{self.same_choices:.1%} of samples make the choices of another, "
            f"{self.same_network:.1%} are its network",
            "time": f"decide {_time(self.decide_s)} · build {_time(self.build_s)} · forward and backward of {BATCH} "
            f"inputs {_time(self.step_s)} (one thread)",
            "memory": f"{_range(self.kept_bytes, 1e-6)} MB kept for the gradient of one input",
            "FLOPs": f"{'' if self.flops_counted else 'at least '}{_range(self.flops, 1e-6)} million for one input",
            "learners": str(self.suits),
            "export": self.exported,
            "parameters": f"{_range(self.parameters)}, median {median(self.parameters):,.0f}",
        }
        return "\n".join(
            [
                f"{self.name}: sound. {self.samples:,} architectures decided, replayed, mutated and crossed, "
                f"{self.builds} built and tried with {self.learner} on inputs {self.shape.input_shape}.",
                *(f"{name:<15}{text}" for name, text in rows.items()),
                *histogram(self.parameters),
                *(f"Consider: {advice}" for advice in self.advice()),
            ]
        )

    def advice(self) -> Iterator[str]:
        """Suggestions for a space that is sound but could serve a search better."""
        if self.rejected > 0.5:
            yield "most draws are rejected, which slows every search; let early choices decide which later ones open"
        if self.size.exact and 1 < self.size.value <= 50:
            yield f"with {self.size.value} architectures, a search is hardly worth more than trying them all"
        if max(self.parameters) > 100 * min(self.parameters):
            yield "sizes differ a hundredfold; search.constraints keep a search within what you can use"


def check(target: str, task: TaskShape, learner: str = "anil") -> str:
    """The verdict on a search space, as text.

    Args:
        target: Name of the space in the registry, or FILE.py:NAME.
        task: Shape of the task that networks are built for.
        learner: Name of the learner that the networks are tried with.

    Raises:
        SpaceError: The space breaks a law; the message names the law, and the line and choice at fault.
        ConfigError: There is no such space or learner.
    """
    space: SearchSpace = components.create("space", target, {})
    components.create("learner", learner, {})
    # The worker protects this process from a space that ends its own.
    with ProcessExecutor(1, deadline_s=LIMIT_S) as executor:
        examined = attempt(executor.submit(examine, space, task, SAMPLES, BUILDS, learner).result)
    error: BaseException | None = examined.error
    if examined.error is None:
        verdict, elsewhere = examined.value
        error = attempt(check_fingerprint, space, elsewhere).error
    if isinstance(error, UnsuitableTask):
        raise error
    if error is not None:
        text = str(error) if isinstance(error, NasError) else reason(error)
        raise SpaceError(f"space {space.name!r} is not sound: {text}")
    return str(verdict)


def examine(
    space: SearchSpace, task: TaskShape, samples: int, builds: int, learner: str = "anil"
) -> tuple[Verdict, str]:
    """The verdict on a sound search space, found in this process, and the space's fingerprint.

    Args:
        space: The search space.
        task: Shape of the task that networks are built for.
        samples: Random architectures that are decided.
        builds: How many of them are built.
        learner: Name of the learner that the networks are tried with.

    Raises:
        SpaceError: The space breaks a law; the message names the law, and the line and choice at fault.
    """
    evaluator = _evaluator(space, task, components.create("learner", learner, {}))
    checked, rng = CheckedSpace(space), random.Random(0)
    drawn, rejected = _drawn(checked, samples, rng)
    _require(check_space, checked, checked, samples=samples)
    size = count(checked)
    for architecture in drawn[:builds]:  # A network that is too large is found before it takes the memory.
        check_size(checked, architecture, partial(checked.build, replay(checked, architecture), task))
    error = attempt(checked.build, replay(checked, drawn[0]), task).error
    if error is not None and isinstance(error.__cause__, SpaceError):
        raise UnsuitableTask(f"{error}; give a shape that it is for, by --inputs and --outputs")
    twice = isinstance(evaluator.learner, SecondOrder) and evaluator.learner.second_order
    _require(check_space, checked, checked, task=task, samples=builds, builds=builds, twice=twice)
    for architecture in drawn[:3]:
        _check_follows(checked, architecture, task)
    checked.running = "graph"
    _require(check_networks, checked, space, task, samples=samples, builds=builds)
    suits = suitable_learners(space, task, drawn[:SUITED])
    networks = _networks(evaluator, drawn[:builds], suits)
    exported = _exported(evaluator, drawn[:EXPORTED])
    steps = [_time_and_memory(network, task) for network in networks]
    parameters, flops, counted = _sizes(evaluator, drawn)
    verdict = Verdict(
        name=space.name,
        shape=task,
        samples=samples,
        builds=builds,
        size=size,
        rejected=rejected / (rejected + samples),
        same_choices=1 - len(set(drawn)) / samples,
        same_network=1 - len({network_key(space, architecture) for architecture in drawn}) / samples,
        parameters=parameters,
        flops=flops,
        flops_counted=counted,
        decide_s=_mean_seconds(lambda a: replay(space, a), drawn),
        build_s=_mean_seconds(lambda a: space.build(replay(space, a), task), drawn[:builds]),
        step_s=fmean(step for step, _ in steps),
        kept_bytes=tuple(kept for _, kept in steps),
        learner=evaluator.learner.name,
        suits=suits,
        exported=exported,
    )
    return verdict, fingerprint(checked)


def suitable_learners(space: SearchSpace, task: TaskShape, drawn: Sequence[Architecture]) -> SuitableLearners:
    """The learners of the registry that can train the networks of all given architectures."""
    unsuitable: dict[str, str] = {}
    learners = _learners()
    for name, learner in learners.items():
        evaluator = _evaluator(space, task, learner)
        for architecture in drawn:
            error = attempt(evaluator.network, architecture, 0).error
            if error is not None:
                unsuitable[name] = str(error) if isinstance(error, NasError) else reason(error)
                break
    return SuitableLearners(tuple(name for name in learners if name not in unsuitable), unsuitable)


def _learners() -> dict[str, Learner]:
    """The learners by name, except those that are another learner with the settings of a publication."""
    kinds: dict[str, Any] = {name: components.find("learner", name) for name in components.names("learner")}
    plain = [name for name, kind in kinds.items() if not isinstance(kind, partial)]
    learners = {name: components.create("learner", name, {}) for name in plain}
    if "maml" in learners:
        learners["maml of first order"] = components.create("learner", "maml", {"order": 1})
    return dict(sorted(learners.items()))


def _networks(evaluator: Any, drawn: Sequence[Architecture], suits: SuitableLearners) -> list[torch.nn.Module]:
    """The networks, built for the evaluator's learner. Raises SpaceError that names other learners if it cannot."""
    networks = attempt(lambda: [evaluator.network(architecture, 0) for architecture in drawn])
    if networks.error is None:
        return networks.value
    error = networks.error
    if isinstance(error, SpaceError) and suits.suitable and evaluator.learner.name in suits.unsuitable:
        others = ", ".join(suits.suitable)
        raise SpaceError(f"{error} (with learner {evaluator.learner.name}; the space suits {others})") from error
    raise error


def _exported(evaluator: Any, drawn: Sequence[Architecture]) -> str:
    """The file that exports hold the forward in, and why it is no source. Raises SpaceError if there is none."""
    file, why = first_not_source(evaluator, drawn)
    if file is None:
        raise SpaceError(f"a network of it could not be exported: {why}; {REMEDY}")
    return f"{file}, without model.py: {why}" if why else file


def histogram(sizes: Sequence[int]) -> list[str]:
    """A histogram of sizes as lines of text: ranges whose ends grow by a constant factor, with a bar each."""
    low, high = min(sizes), max(sizes) + 1
    bars = min(BARS, high - low)
    ends = [round(low * (high / low) ** (bar / bars)) for bar in range(bars + 1)] if low else [0, high]
    counts = [sum(first <= size < last for size in sizes) for first, last in pairwise(ends)]
    return [
        f"{first:>14,} – {last - 1:<12,} {'█' * -(-WIDTH * count // max(counts))} {count}"
        for (first, last), count in zip(pairwise(ends), counts, strict=True)
    ]


def _drawn(checked: CheckedSpace, samples: int, rng: random.Random) -> tuple[list[Architecture], int]:
    """Random architectures, each decided twice, and the number of draws that were rejected."""
    drawn: list[Architecture] = []
    rejected = in_a_row = 0
    while len(drawn) < samples:
        try:
            drawn.append(sample_checked(checked, rng))
            in_a_row = 0
        except Rejected as error:
            rejected, in_a_row = rejected + 1, in_a_row + 1
            if in_a_row == MAX_TRIES:
                raise SpaceError(f"it rejected {MAX_TRIES} in a row; the last reason: {error}") from error
    return drawn, rejected


def _require(law: Callable[..., None], checked: CheckedSpace, *args: Any, **options: Any) -> None:
    """Checks a law of `nas.testing`. Raises SpaceError with the line of the space's file if it is broken."""
    error = attempt(law, *args, **options).error
    if isinstance(error, SpaceError):
        raise error
    if error is not None:
        text = str(error) if isinstance(error, AssertionError) else f"its network fails with {reason(error)}"
        raise SpaceError(f"{text} ({checked.place(error)})") from error


def _check_follows(checked: CheckedSpace, architecture: Architecture, task: TaskShape) -> None:
    """Raises SpaceError unless `build` follows the shape of another task. The space may refuse its inputs with a
    SpaceError of its own, but not its number of outputs."""
    import torch

    channels, *rest = task.input_shape
    for other in (replace(task, num_outputs=task.num_outputs + 2), replace(task, input_shape=(channels + 1, *rest))):
        network = attempt(checked.build, replay(checked, architecture), other)
        error = network.error
        if error is not None and isinstance(error.__cause__, SpaceError) and other.num_outputs == task.num_outputs:
            continue
        expected = f"for inputs {other.input_shape} and {other.num_outputs} outputs"
        shape: tuple[int, ...] = ()
        if network.error is None:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                output = attempt(network.value, torch.randn(2, *other.input_shape))
            error, shape = output.error, () if output.error is not None else tuple(output.value.shape)
            if shape == (2, other.num_outputs):
                continue
        actual = f"gives {shape} for 2 inputs" if error is None else f"fails with {reason(error)}"
        raise SpaceError(
            f"build ignores the task's shape: {expected} its network {actual}; use task.input_shape and "
            f"task.num_outputs ({checked.place()})"
        )


@dataclass(frozen=True)
class _Shaped:
    """The part of a task family that building a network needs."""

    shape: TaskShape
    name: str = "check"


def _evaluator(space: SearchSpace, task: TaskShape, learner: Learner) -> Any:
    """The evaluator that searches use, so that a network which they would refuse is refused here."""
    parts: dict[str, Any] = {"space": space, "tasks": _Shaped(task), "learner": learner, "device": "cpu"}
    return components.create("evaluator", "meta", {}, **parts)


def _sizes(evaluator: Costed, drawn: Sequence[Architecture]) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Parameters and FLOPs, and whether all FLOPs could be counted."""
    parameters, flops, counted = [], [], True
    end = time.monotonic() + SIZED_S
    for architecture in drawn[:SIZED]:
        parameters.append(int(evaluator.cost(architecture, "parameters")))
        try:
            flops.append(int(evaluator.cost(architecture, "flops")))
        except UncountedError as error:
            flops.append(int(error.at_least))
            counted = False
        if time.monotonic() > end:
            break
    return tuple(parameters), tuple(flops), counted


def _time_and_memory(network: torch.nn.Module, task: TaskShape) -> tuple[float, int]:
    """Seconds of a forward and backward pass of BATCH inputs, and bytes kept between the two for each input."""
    import torch

    weights = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.zeros(BATCH, *task.input_shape)
    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(x)
    output.square().sum().backward()
    return time.perf_counter() - started, sum(kept.values()) // BATCH


def _mean_seconds(fn: Callable[[Architecture], Any], drawn: Sequence[Architecture]) -> float:
    return fmean(timeit(partial(fn, architecture), number=1) for architecture in drawn)


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def _range(values: Sequence[int], scale: float = 1.0) -> str:
    low, high = min(values) * scale, max(values) * scale
    return f"{low:,.0f} – {high:,.0f}" if scale == 1 else f"{low:.3g} – {high:.3g}"
