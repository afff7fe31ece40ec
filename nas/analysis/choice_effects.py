"""Effects of choices: how much each choice of a space matters by itself for the scores of a search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..architecture import Architecture
from ..trial import Trial
from .intervals import t_quantile

FEWEST = 2
"""Trials that an option needs to be compared."""


@dataclass(frozen=True)
class ChoiceEffect:
    """Marginal effect of one choice, over the trials in which it was open.

    Attributes:
        choice: Name of the choice.
        share: Share of the scores' variance that its options explain, from 0 to 1: ω² of a one-way analysis of
            variance, which is corrected for the number of options (Hays, "Statistics for Psychologists", 1963).
        p_value: Probability of as large differences between the options, were there none: of the F test.
        means: Mean score by option.
        trials: Number of trials.
        intervals: 95 % interval of each option's mean, of the variance within all options together; cut at 0 and 1
            where all scores are within, as accuracies are.
    """

    choice: str
    share: float
    p_value: float
    means: Mapping[str, float]
    trials: int
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """The option with the highest mean score."""
        return max(self.means, key=lambda option: self.means[option])


def choice_effects(
    trials: Iterable[Trial], options_of: Callable[[Architecture], Mapping[str, Any]]
) -> list[ChoiceEffect]:
    """The marginal effect of each choice, the largest first; the main effects of a functional analysis of variance.

    A controller tries good options more often and together, so that the effects are those among the candidates that it
    proposed. With as many choices as a space has, one in twenty has p < 0.05 by chance.

    Args:
        trials: Trials of one budget; those without a score are left out.
        options_of: The options that an architecture took, by choice.

    Returns:
        Effects of the choices with two options that two trials each have.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        if trial.score is not None:
            for choice, option in options_of(trial.architecture).items():
                values[choice][str(option)].append(trial.score.value)
    effects = [
        _effect(choice, {option: np.array(row) for option, row in groups.items() if len(row) >= FEWEST})
        for choice, groups in values.items()
    ]
    return sorted((effect for effect in effects if effect is not None), key=lambda effect: -effect.share)


def _effect(choice: str, groups: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]) -> ChoiceEffect | None:
    from scipy.special import fdtrc

    if len(groups) < 2:
        return None
    everything = np.concatenate(list(groups.values()))
    within = float(sum(((row - row.mean()) ** 2).sum() for row in groups.values()))
    total = float(((everything - everything.mean()) ** 2).sum())
    between, freedom, rest = total - within, len(groups) - 1, len(everything) - len(groups)
    noise = within / rest
    share = max(0.0, (between - freedom * noise) / (total + noise)) if total > 0 else 0.0
    ratio = between / freedom / noise if noise > 0 else np.inf
    p_value = float(fdtrc(freedom, rest, ratio)) if total > 0 else 1.0
    means = {option: float(row.mean()) for option, row in groups.items()}
    margins = {option: float(np.sqrt(noise / len(row))) * t_quantile(0.975, rest) for option, row in groups.items()}
    within_unit = everything.min() >= 0 and everything.max() <= 1
    least, most = (0.0, 1.0) if within_unit else (-np.inf, np.inf)
    intervals = {
        option: (max(least, mean - margins[option]), min(most, mean + margins[option]))
        for option, mean in means.items()
    }
    return ChoiceEffect(choice, share, p_value, means, len(everything), intervals)
