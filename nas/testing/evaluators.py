"""Laws of evaluators."""

from __future__ import annotations

import json
import math
import pickle
from statistics import fmean
from typing import Any, TypeVar

from ..analysis.protocol_check import differences_text
from ..architecture import Architecture
from ..protocols.evaluators import Evaluator, Protocolled
from ..trial import Score
from .toy_spaces import require

T = TypeVar("T")


def check_evaluator(
    evaluator: Evaluator,
    architecture: Architecture,
    budget: int,
    *,
    seed: int = 0,
    inner_steps: int | None = None,
    num_tasks: int | None = None,
) -> None:
    """Checks the laws of `nas.protocols.Evaluator` on one architecture, which is evaluated twice.

    * The same seed gives the same score, also from a pickled copy of the evaluator.
    * `value` is the mean of `per_task` and the last entry of `curve`.
    * All numbers are finite, and the score is the same after JSON (in the protocol, use lists, not tuples).
    * An evaluator that predicts the protocol of its scores (`nas.protocols.Protocolled`) predicts the right one.

    Args:
        evaluator: The evaluator, which must be picklable.
        architecture: An architecture of its space.
        budget: Budget of the evaluation, in the evaluator's unit.
        seed: Seed of both evaluations.
        inner_steps: Steps of the inner loop: `curve` must have an entry for each of 0 to `inner_steps`. None: not
            checked.
        num_tasks: Length that `per_task` must have. None: not checked.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    score = evaluator.evaluate(architecture, budget, seed)
    again = _pickled(evaluator).evaluate(architecture, budget, seed)
    for field in ("value", "stderr", "curve", "per_task", "protocol"):
        first, second = getattr(score, field), getattr(again, field)
        require(
            first == second,
            f"{field} is {first}, and {second} when a pickled copy of the evaluator repeats it with the same seed",
        )
    _check_score(score)
    if isinstance(evaluator, Protocolled):
        text = differences_text(evaluator.search_protocol(budget, budget), score.protocol)
        require(not text, f"search_protocol does not tell the protocol of a score: {text}")
    if inner_steps is not None:
        require(
            len(score.curve) == inner_steps + 1,
            f"the curve has {len(score.curve)} entries; {inner_steps} inner steps need {inner_steps + 1}, from step 0",
        )
    if num_tasks is not None:
        require(len(score.per_task) == num_tasks, f"per_task has {len(score.per_task)} entries; the bank {num_tasks}")


def _check_score(score: Score) -> None:
    numbers = (score.value, score.stderr, *score.curve, *score.per_task, *score.metrics.values())
    require(all(map(math.isfinite, numbers)), f"a number of the score is not finite: {score}")
    require(score.stderr >= 0, f"the standard error is {score.stderr}; it must not be negative")
    require(len(score.per_task) > 0, "per_task is empty; without it candidates cannot be paired")
    mean = fmean(score.per_task)
    require(_close(mean, score.value), f"value is {score.value}, but the mean of per_task is {mean}")
    require(
        len(score.curve) > 0 and _close(score.curve[-1], score.value),
        f"value is {score.value}, but the curve is {score.curve}; it must end there",
    )
    copy = Score.from_json(json.loads(json.dumps(score.to_json())))
    require(copy == score, f"the score is not the same after JSON (are there tuples in it?): {score} and {copy}")


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6)


def _pickled(value: T) -> T:
    copy: Any = pickle.loads(pickle.dumps(value))
    return copy  # type: ignore[no-any-return]
