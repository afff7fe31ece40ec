"""The laws that a component must keep, to run on your own: plain functions that raise AssertionError with the reason.

from nas.testing import check_controller
def test_laws():
    check_controller(MyController)
"""

from __future__ import annotations

import json
import math
import pickle
import random
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeVar

from .architecture import Architecture, Score
from .errors import Rejected
from .protocol_check import differences_text
from .protocols import Evaluator, Protocolled, SearchSpace, Split, TaskBatch, TaskFamily, TaskShape
from .space import crossover, mutate, num_options, replay, sample
from .specs import same_spec
from .testing_controllers import check_controller
from .testing_toys import ToySpace, hold

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ToySpace", "check_controller", "check_evaluator", "check_space", "check_task_family"]

T = TypeVar("T")


# --- search spaces ---------------------------------------------------------------------------------------------------


def check_space(
    space: SearchSpace,
    *,
    task: TaskShape | None = None,
    samples: int = 30,
    builds: int = 5,
    seed: int = 0,
    twice: bool = True,
) -> None:
    """Checks `samples` random architectures; with a `task`, also that the networks of `builds` of them fit it.

    `decide` must be a function of its choices alone, with a spec that compares equal when they are (tuples, lists,
    dataclasses), and every network must return (inputs, num_outputs) finite numbers, differentiable, that it can be
    trained by, each from its own input alone, whatever its place in the batch (`nas.batch_order`); `twice`: also
    differentiable to second order, as some learners need it.
    """
    rng = random.Random(seed)
    hold(isinstance(space.name, str) and space.name != "", "a space's name must be a text that is not empty")
    drawn = [sample(space, rng) for _ in range(samples)]
    for architecture in drawn:
        _check_decides(space, architecture)
        _check_mutates(space, architecture, rng)
        _check_crosses(space, architecture, rng.choice(drawn), rng)
    if task is not None:
        for architecture in drawn[:builds]:
            _check_builds(space, architecture, task, seed, twice)


def _check_decides(space: SearchSpace, architecture: Architecture) -> None:
    spec = replay(space, architecture)
    again = replay(space, architecture)
    hold(
        same_spec(spec, again),
        f"decide gave two specs for the same picks {dict(architecture.picks)}: {spec!r} and {again!r}; it may depend "
        "on nothing but its choices, and the spec must compare by value (tuples, lists, dataclasses)",
    )
    copy = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    hold(copy == architecture and copy.key == architecture.key, f"{architecture} is not the same after JSON")


def _check_mutates(space: SearchSpace, architecture: Architecture, rng: random.Random) -> None:
    try:
        mutant = mutate(space, architecture, rng)
    except Rejected:
        return  # nothing to change, or nothing that is allowed
    before, after = num_options(space, architecture), num_options(space, mutant)
    shared = [name for name, size in before.items() if after.get(name) == size]
    changed = [name for name in shared if architecture.picks[name] != mutant.picks[name]]
    hold(
        len(changed) == 1,
        f"a mutation changed the choices {changed} of {dict(architecture.picks)}, not exactly one; "
        "does the same choice come with the same options whenever the choices before it are the same?",
    )


def _check_crosses(space: SearchSpace, first: Architecture, second: Architecture, rng: random.Random) -> None:
    try:
        child = crossover(space, first, second, rng)
    except Rejected:
        return
    replay(space, child)
    if first == second:
        hold(child == first, f"the child of two equal parents {dict(first.picks)} is another: {dict(child.picks)}")


def _check_builds(space: SearchSpace, architecture: Architecture, task: TaskShape, seed: int, twice: bool) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from .batch_order import BATCH_NORMS, find_fault

    what = f"the network of {dict(architecture.picks)}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = space.build(replay(space, architecture), task)
        kind = type(network).__name__
        hold(isinstance(network, torch.nn.Module), f"build gave a {kind}; it must give a torch.nn.Module")
        torch.manual_seed(seed)
        again = space.build(replay(space, architecture), task)
        first, second = network.state_dict(), again.state_dict()
        hold(  # before the first run, which changes running statistics
            first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first),
            f"{what} starts from other weights when built again; draw them from torch's generator only",
        )
        inputs = torch.randn(4, *task.input_shape)
        with sdpa_kernel(SDPBackend.MATH):  # the other kernels of attention cannot be differentiated twice
            outputs = network(inputs)
    hold(
        tuple(outputs.shape) == (4, task.num_outputs),
        f"{what} maps {tuple(inputs.shape)} to {tuple(outputs.shape)}; it must be {(4, task.num_outputs)}",
    )
    hold(bool(outputs.isfinite().all()), f"{what} gives numbers that are not finite")
    fault = find_fault(network, inputs, batch_layers=BATCH_NORMS)
    hold(fault is None, f"{what} {fault}")
    trained = [p for p in network.parameters() if p.requires_grad]
    hold(len(trained) > 0, f"{what} has no parameter to train")
    loss = outputs.square().sum()
    for order in ("gradients", "second derivatives")[: 2 if twice else 1]:
        found = torch.autograd.grad(loss, trained, allow_unused=True, create_graph=twice)
        gradients = [g for g in found if g is not None]
        hold(all(bool(g.isfinite().all()) for g in gradients), f"{what} has {order} that are not finite")
        hold(any(bool(g.any()) for g in gradients), f"no gradient reaches a parameter of {what}")
        loss = torch.stack([g.square().sum() for g in gradients]).sum()


# --- task families ---------------------------------------------------------------------------------------------------


def check_task_family(
    family: TaskFamily, *, splits: Sequence[Split] = ("train", "validation", "test"), indices: Sequence[int] = (3, 7, 0)
) -> None:
    """Checks tasks `indices` of each split, on the CPU.

    A task is a function of (split, index): the same when drawn again, alone or in another batch, whatever the state of
    the global generators. Shapes and types are those of `TaskBatch`, examples are sorted by class and
    classes balanced, no query is also in the support set, and tasks differ between indices and between splits.
    """
    import torch

    firsts: list[tuple[str, Tensor]] = []
    with torch.random.fork_rng(devices=[]):
        for split in splits:
            torch.manual_seed(1)
            batch = family.tasks(split, indices, torch.device("cpu"))
            torch.manual_seed(2)
            _check_batch(family.shape, batch, len(indices), f"{family.name}, {split}")
            _check_alone(family, split, indices, batch)
            for other, tensor in firsts:
                hold(
                    not torch.equal(tensor, batch.support_x[0]),
                    f"{family.name}: task {indices[0]} is the same in the splits {other} and {split}",
                )
            firsts.append((split, batch.support_x[0]))


def _check_alone(family: TaskFamily, split: Split, indices: Sequence[int], batch: TaskBatch) -> None:
    import torch

    for place, index in enumerate(indices):
        alone = family.tasks(split, [index], torch.device("cpu"))
        for field, whole in vars(batch).items():
            if whole is None:
                continue
            # Not bit for bit: a kernel may sum in another order in a larger batch.
            hold(
                torch.allclose(whole[place], vars(alone)[field][0], rtol=1e-5, atol=1e-6),
                f"{family.name}, {split}: {field} of task {index} differs when drawn again, in a batch of its own; "
                "a task may depend on the split, its index and the family's seed only",
            )
        hold(
            place == 0 or not torch.equal(batch.support_x[place], batch.support_x[0]),
            f"{family.name}, {split}: tasks {indices[0]} and {index} are the same",
        )


def _check_batch(shape: TaskShape, batch: TaskBatch, num_tasks: int, what: str) -> None:
    import torch

    for part, x, y in (("support", batch.support_x, batch.support_y), ("query", batch.query_x, batch.query_y)):
        examples = x.shape[1] if x.ndim > 1 else 0
        expected = (num_tasks, examples, *shape.input_shape)
        hold(tuple(x.shape) == expected, f"{what}: {part}_x is {tuple(x.shape)}; it must be {expected}")
        hold(x.dtype == torch.float32, f"{what}: {part}_x is {x.dtype}; it must be float32")
        hold(bool(x.isfinite().all()), f"{what}: {part}_x has numbers that are not finite")
        if shape.kind == "classification":
            _check_labels(y, (num_tasks, examples), shape.num_outputs, f"{what}: {part}_y")
            hold(torch.equal(y, y.sort(1).values), f"{what}: {part}_y must be sorted by class")
        else:
            targets = (num_tasks, examples, shape.num_outputs)
            hold(tuple(y.shape) == targets, f"{what}: {part}_y is {tuple(y.shape)}; it must be {targets}")
            hold(y.dtype == torch.float32, f"{what}: {part}_y is {y.dtype}; it must be float32")
            hold(bool(y.isfinite().all()), f"{what}: {part}_y has numbers that are not finite")
    if batch.classes is not None:
        expected = (num_tasks, shape.num_outputs)
        found = tuple(batch.classes.shape)
        hold(found == expected, f"{what}: classes is {found}; it must be {expected}")
        hold(batch.classes.dtype == torch.int64, f"{what}: classes is {batch.classes.dtype}; it must be int64")
        apart = all(len(set(row)) == len(row) for row in batch.classes.tolist())
        hold(apart, f"{what}: classes has a class twice in one task")
    for support, query in zip(batch.support_x.flatten(2), batch.query_x.flatten(2), strict=True):
        same = (support[:, None] == query[None]).all(2)
        hold(not bool(same.any()), f"{what}: an example is in the support set and among the queries")


def _check_labels(y: Tensor, expected: tuple[int, int], ways: int, what: str) -> None:
    import torch

    hold(tuple(y.shape) == expected, f"{what} is {tuple(y.shape)}; it must be {expected}")
    hold(y.dtype == torch.int64, f"{what} is {y.dtype}; it must be int64")
    hold(bool(((y >= 0) & (y < ways)).all()), f"{what} holds a class outside [0, {ways})")
    counts = torch.stack([torch.bincount(row, minlength=ways) for row in y])
    hold(
        expected[1] % ways == 0 and bool((counts == expected[1] // ways).all()),
        f"{what} has {counts.tolist()} examples of the classes; each task must have as many of each",
    )


# --- evaluators ------------------------------------------------------------------------------------------------------


def check_evaluator(
    evaluator: Evaluator,
    architecture: Architecture,
    budget: int,
    *,
    seed: int = 0,
    inner_steps: int | None = None,
    num_tasks: int | None = None,
) -> None:
    """Evaluates twice, the second time by a pickled copy, and checks the scores.

    The same seed gives the same score; `value` is the mean of `per_task` and the end of `curve`, which has one entry
    for each of 0 to `inner_steps` steps; all numbers are finite, and the score survives JSON (in the protocol, use
    lists, not tuples). An evaluator that tells the protocol of its scores (`nas.protocols.Protocolled`) tells the one
    that they have. `inner_steps` and `num_tasks` are checked when given.
    """
    score = evaluator.evaluate(architecture, budget, seed)
    again = _pickled(evaluator).evaluate(architecture, budget, seed)
    for field in ("value", "stderr", "curve", "per_task", "protocol"):
        first, second = getattr(score, field), getattr(again, field)
        hold(
            first == second,
            f"{field} is {first}, and {second} when a pickled copy of the evaluator repeats it with the same seed",
        )
    _check_score(score)
    if isinstance(evaluator, Protocolled):
        text = differences_text(evaluator.search_protocol(budget, budget), score.protocol)
        hold(not text, f"search_protocol does not tell the protocol of a score: {text}")
    if inner_steps is not None:
        hold(
            len(score.curve) == inner_steps + 1,
            f"the curve has {len(score.curve)} entries; {inner_steps} inner steps need {inner_steps + 1}, from step 0",
        )
    if num_tasks is not None:
        hold(len(score.per_task) == num_tasks, f"per_task has {len(score.per_task)} entries; the bank {num_tasks}")


def _check_score(score: Score) -> None:
    numbers = (score.value, score.stderr, *score.curve, *score.per_task, *score.metrics.values())
    hold(all(map(math.isfinite, numbers)), f"a number of the score is not finite: {score}")
    hold(score.stderr >= 0, f"the standard error is {score.stderr}; it must not be negative")
    hold(len(score.per_task) > 0, "per_task is empty; without it candidates cannot be paired")
    mean = fmean(score.per_task)
    hold(_close(mean, score.value), f"value is {score.value}, but the mean of per_task is {mean}")
    hold(
        len(score.curve) > 0 and _close(score.curve[-1], score.value),
        f"value is {score.value}, but the curve is {score.curve}; it must end there",
    )
    copy = Score.from_json(json.loads(json.dumps(score.to_json())))
    hold(copy == score, f"the score is not the same after JSON (are there tuples in it?): {score} and {copy}")


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6)


def _pickled(value: T) -> T:
    copy: Any = pickle.loads(pickle.dumps(value))
    return copy  # type: ignore[no-any-return]
