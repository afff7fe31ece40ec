"""Laws of task families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..protocols.tasks import TaskFamily
from ..task import Split, TaskBatch, TaskShape
from .toy_spaces import require

if TYPE_CHECKING:
    from torch import Tensor


def check_task_family(
    family: TaskFamily, *, splits: Sequence[Split] = ("train", "validation", "test"), indices: Sequence[int] = (3, 7, 0)
) -> None:
    """Checks the laws of `nas.protocols.TaskFamily` on a few tasks of each split, on the CPU.

    * A task is a function of (split, index): the same when drawn again, alone or in another batch, whatever the state
      of the global generators.
    * Shapes and types are those of `nas.task.TaskBatch`; all numbers are finite.
    * In classification, examples are sorted by class, and all classes have equally many.
    * No query is also in the support set.
    * Tasks differ between indices and between splits.

    Args:
        family: The family of tasks.
        splits: Splits that are checked.
        indices: Indices of the tasks that are drawn from each split, at least one.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    import torch

    first_inputs: list[tuple[str, Tensor]] = []
    with torch.random.fork_rng(devices=[]):
        for split in splits:
            torch.manual_seed(1)
            batch = family.tasks(split, indices, torch.device("cpu"))
            torch.manual_seed(2)
            _check_batch(family.shape, batch, len(indices), f"{family.name}, {split}")
            _check_alone(family, split, indices, batch)
            for other, tensor in first_inputs:
                require(
                    not torch.equal(tensor, batch.support_x[0]),
                    f"{family.name}: task {indices[0]} is the same in the splits {other} and {split}",
                )
            first_inputs.append((split, batch.support_x[0]))


def _check_alone(family: TaskFamily, split: Split, indices: Sequence[int], batch: TaskBatch) -> None:
    import torch

    for place, index in enumerate(indices):
        alone = family.tasks(split, [index], torch.device("cpu"))
        for field, whole in vars(batch).items():
            if whole is None:
                continue
            # Equality up to rounding is enough: a kernel may sum in another order in a larger batch.
            require(
                torch.allclose(whole[place], vars(alone)[field][0], rtol=1e-5, atol=1e-6),
                f"{family.name}, {split}: {field} of task {index} differs when drawn again, in a batch of its own; "
                "a task may depend on the split, its index and the family's seed only",
            )
        require(
            place == 0 or not torch.equal(batch.support_x[place], batch.support_x[0]),
            f"{family.name}, {split}: tasks {indices[0]} and {index} are the same",
        )


def _check_batch(shape: TaskShape, batch: TaskBatch, num_tasks: int, what: str) -> None:
    import torch

    for part, x, y in (("support", batch.support_x, batch.support_y), ("query", batch.query_x, batch.query_y)):
        examples = x.shape[1] if x.ndim > 1 else 0
        expected = (num_tasks, examples, *shape.input_shape)
        require(tuple(x.shape) == expected, f"{what}: {part}_x is {tuple(x.shape)}; it must be {expected}")
        require(x.dtype == torch.float32, f"{what}: {part}_x is {x.dtype}; it must be float32")
        require(bool(x.isfinite().all()), f"{what}: {part}_x has numbers that are not finite")
        if shape.kind == "classification":
            _check_labels(y, (num_tasks, examples), shape.num_outputs, f"{what}: {part}_y")
            require(torch.equal(y, y.sort(1).values), f"{what}: {part}_y must be sorted by class")
        else:
            targets = (num_tasks, examples, shape.num_outputs)
            require(tuple(y.shape) == targets, f"{what}: {part}_y is {tuple(y.shape)}; it must be {targets}")
            require(y.dtype == torch.float32, f"{what}: {part}_y is {y.dtype}; it must be float32")
            require(bool(y.isfinite().all()), f"{what}: {part}_y has numbers that are not finite")
    if batch.classes is not None:
        expected = (num_tasks, shape.num_outputs)
        actual = tuple(batch.classes.shape)
        require(actual == expected, f"{what}: classes is {actual}; it must be {expected}")
        require(batch.classes.dtype == torch.int64, f"{what}: classes is {batch.classes.dtype}; it must be int64")
        apart = all(len(set(row)) == len(row) for row in batch.classes.tolist())
        require(apart, f"{what}: classes has a class twice in one task")
    for support, query in zip(batch.support_x.flatten(2), batch.query_x.flatten(2), strict=True):
        same = (support[:, None] == query[None]).all(2)
        require(not bool(same.any()), f"{what}: an example is in the support set and among the queries")


def _check_labels(y: Tensor, expected: tuple[int, int], ways: int, what: str) -> None:
    import torch

    require(tuple(y.shape) == expected, f"{what} is {tuple(y.shape)}; it must be {expected}")
    require(y.dtype == torch.int64, f"{what} is {y.dtype}; it must be int64")
    require(bool(((y >= 0) & (y < ways)).all()), f"{what} holds a class outside [0, {ways})")
    counts = torch.stack([torch.bincount(row, minlength=ways) for row in y])
    require(
        expected[1] % ways == 0 and bool((counts == expected[1] // ways).all()),
        f"{what} has {counts.tolist()} examples of the classes; each task must have as many of each",
    )
