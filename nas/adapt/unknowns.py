"""Threshold on the score below which a predictor answers 'unknown', calibrated on classes that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import DataError
from ..export.standalone.adapt import Predictor
from .adaptation import AdaptedPredictor
from .examples import read
from .leave_one_out import leave_one_out

if TYPE_CHECKING:
    from torch import Tensor

RATES: Final = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Rates of false accepts in the table of thresholds."""
LEAST_CLASSES: Final = 3


@dataclass(frozen=True)
class Operating:
    """What a threshold does.

    Attributes:
        threshold: Scores below it are 'unknown'.
        accepted: Fraction of the known examples that get a class.
        accuracy: Accuracy of those; None where there are none.
        false_accepts: Fraction of the examples of unknown classes that get a class.
    """

    threshold: float
    accepted: float
    accuracy: float | None
    false_accepts: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of known and unknown examples. The score is the largest logit (Vaze et al., "Open-set recognition: a good
    closed-set classifier is all you need", ICLR 2022).

    Attributes:
        known: Score of each known example.
        correct: Whether its predicted class is right.
        unknown: Score of each example of a class that the predictor does not have.
    """

    known: Sequence[float]
    correct: Sequence[bool]
    unknown: Sequence[float]

    def at(self, rate: float) -> Operating:
        """The least threshold with which at most a fraction `rate` of the unknown examples gets a class."""
        import math

        ordered = sorted(self.unknown, reverse=True)
        allowed = math.floor(rate * len(ordered) + 1e-9)
        threshold = math.nextafter(ordered[allowed], math.inf) if allowed < len(ordered) else ordered[-1]
        accepted = [right for score, right in zip(self.known, self.correct, strict=True) if score >= threshold]
        false = sum(score >= threshold for score in self.unknown)
        return Operating(
            threshold=threshold,
            accepted=len(accepted) / len(self.known),
            accuracy=sum(accepted) / len(accepted) if accepted else None,
            false_accepts=false / len(self.unknown),
        )


def calibrate(predictor: Predictor, x: Tensor, y: Tensor, unknown: Tensor | None = None) -> Calibration:
    """Scores for a threshold, from a support set alone or with examples of no class.

    Known examples are scored by networks that were adapted to the others (`leave_one_out`). Without `unknown`, each
    class in turn is held out: the network is adapted to the other classes, and the class's examples are unknown to it.

    Args:
        predictor: The network.
        x: Inputs of the support set (examples, *input_shape).
        y: Class numbers (examples,).
        unknown: Inputs of examples of none of the classes.

    Raises:
        DataError: There are too few classes or examples.
    """
    import torch

    classes = int(y.max()) + 1
    if classes < LEAST_CLASSES and unknown is None:
        raise DataError(
            f"the support set has {classes} classes; to hold out one of them for --reject, at least {LEAST_CLASSES} "
            "are needed, or give --unknowns with examples of no class"
        )
    outputs, left_out = leave_one_out(predictor, x, y)
    if not left_out.any():
        raise DataError("each class has one example; --reject needs at least two of a class, to leave one out")
    known, right = outputs[left_out].max(dim=1)
    if unknown is None:
        parts = [_scores(predictor, x[y != held], _renumbered(y, held), x[y == held]) for held in range(classes)]
        strangers = torch.cat(parts)
    else:
        strangers = _scores(predictor, x, y, unknown)
    return Calibration(known.tolist(), (right == y[left_out]).tolist(), strangers.tolist())


def calibrate_on(adapted: AdaptedPredictor, unknowns: Path | None) -> Calibration:
    """Scores for the threshold of an adapted predictor, with the examples in `unknowns` where that is given.

    Raises:
        DataError: As `calibrate`, or the examples cannot be read.
    """
    strangers = None if unknowns is None else read(adapted.predictor, [unknowns], labelled=False).x
    return calibrate(adapted.predictor, adapted.support.examples.x, adapted.support.y, strangers)


def _renumbered(y: Tensor, held: int) -> Tensor:
    """Class numbers without the class `held`."""
    others = y[y != held]
    return others - (others > held).to(others.dtype)


def _scores(predictor: Predictor, x: Tensor, y: Tensor, query: Tensor) -> Tensor:
    import torch

    adapted = predictor.adapted_to(predictor.represented(x), y)
    with torch.no_grad():
        return predictor.outputs_of(predictor.represented(query), adapted, int(y.max()) + 1).amax(dim=1)
