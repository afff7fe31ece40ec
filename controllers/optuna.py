"""Samplers of Optuna (Akiba et al., arXiv 1907.10902) as controllers: `optuna:tpe` and others."""

from __future__ import annotations

import inspect
import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nas.architecture import Architecture
from nas.bounds import check_number
from nas.errors import ConfigError, Rejected, nearest
from nas.failures import reason
from nas.protocols import SearchSpace
from nas.space import Pick, decide, num_options, sample
from nas.trial import Trial

from .without_replacement import Unseen

if TYPE_CHECKING:
    import optuna

MOST_DUPLICATES, MOST_REJECTED = 10, 100
"""Duplicates, and rejected proposals, of a sampler after which a random architecture is proposed."""
MOST_TRIALS_KEPT = 10_000
"""Trials that Optuna keeps at most, at some 8 KiB each; above that, half as many stay, the best and the latest."""
LARGEST_OPTION = 100_000
"""Largest absolute value of a sampler's numeric option, such as a number of candidates that it makes all at once."""
NUMERIC = {"cmaes", "qmc"}
"""Samplers that ignore categorical parameters; they are given integers."""
INSTALL = "pip install 'adaptnas[optuna]'"
CONFIG_TYPES: Mapping[str, Any] = {
    f"{kind.__name__}{end}": kind | None if end else kind for kind in (bool, int, float, str) for end in ("", " | None")
}
"""Types that a config can hold, by their annotation."""


class OptunaSampler:
    """A sampler of Optuna as a controller: `tpe` (Bergstra et al., 2011), `gp`, `nsgaii`, `random` or another.

    A choice is a categorical parameter that is suggested where the choice is made; for CMA-ES and quasi-Monte Carlo,
    which sample categorical parameters independently at random, it is an integer. For a duplicate Optuna is told the
    score once more, as its documentation advises, and asked again. After `MOST_DUPLICATES` duplicates or
    `MOST_REJECTED` rejections a random architecture is proposed; when nothing is left, `ask` returns fewer than it is
    asked for. Rejected proposals and trials without a finite score are failed trials to Optuna.

    Args:
        space: Search space.
        seed: Seed of the sampler and of the random proposals.
        sampler: Name of the sampler's class in small letters, without 'Sampler'.
        options: Arguments of its constructor, without the seed.

    Raises:
        ConfigError: Optuna or a package that the sampler needs is missing, or its constructor refuses the options.
    """

    def __init__(
        self, space: SearchSpace, *, seed: int = 0, sampler: str = "tpe", options: Mapping[str, Any] | None = None
    ) -> None:
        cls = _sampler_class(sampler)
        self.name = f"optuna:{sampler}"
        self._space = space
        self._numeric = sampler in NUMERIC
        self._unseen = Unseen(space, seed=seed)
        self._pending: dict[Architecture, int] = {}  # numbers of Optuna's trials
        self._scores: dict[Architecture, float] = {}
        self._exhausted = False
        self._num_kept = 0
        try:
            with _quiet():
                self._study = _study(cls(**{**(options or {}), "seed": seed % 2**32}))
        except (ImportError, TypeError, ValueError) as error:
            raise ConfigError(f"controller {self.name!r} cannot be made: {reason(error)}") from error

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        with _quiet():
            return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Passes scores on to Optuna, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        with _quiet():
            for trial in trials:
                scored = math.isfinite(trial.value)
                number = self._pending.pop(trial.architecture, None)
                if number is not None:
                    self._end(number, trial.value if scored else None)
                elif scored:
                    self._add(trial)
                if scored:
                    self._unseen.see(trial.architecture)
                    self._scores[trial.architecture] = trial.value
                if self._num_kept > MOST_TRIALS_KEPT:
                    self._drop_trials()

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._exhausted:
            return None
        duplicates = rejected = 0
        while duplicates < MOST_DUPLICATES and rejected < MOST_REJECTED:
            suggestion = self._study.ask()
            self._num_kept += 1
            try:
                architecture = decide(self._space, self._suggested(suggestion))[1]
            except Rejected:
                self._end(suggestion.number, None)
                rejected += 1
                continue
            if architecture in self._unseen:
                self._pending[architecture] = suggestion.number
                return architecture
            self._end(suggestion.number, self._scores.get(architecture))
            duplicates += 1
        random_proposal = self._unseen.draw(lambda: sample(self._space, rng), rng)
        self._exhausted = random_proposal is None
        return random_proposal

    def _end(self, number: int, score: float | None) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, score, state=TrialState.FAIL if score is None else TrialState.COMPLETE)

    def _suggested(self, suggestion: optuna.Trial) -> Pick:
        def pick(name: str, options: int) -> int:
            parameter = _parameter(name, options)
            if self._numeric:
                return suggestion.suggest_int(parameter, 0, options - 1)
            return suggestion.suggest_categorical(parameter, range(options))

        return pick

    def _add(self, trial: Trial) -> None:
        """Tells Optuna of a scored trial that it did not propose."""
        import optuna
        from optuna.distributions import CategoricalDistribution, IntDistribution

        picks, sizes = trial.architecture.picks, num_options(self._space, trial.architecture)
        optuna_trial = optuna.trial.create_trial(
            value=trial.value,
            params={_parameter(name, options): picks[name] for name, options in sizes.items()},
            distributions={
                _parameter(name, options): IntDistribution(0, options - 1)
                if self._numeric
                else CategoricalDistribution(range(options))
                for name, options in sizes.items()
            },
        )
        self._study.add_trial(optuna_trial)
        self._num_kept += 1

    def _drop_trials(self) -> None:
        """Continues with a study of the best scored trials and the latest.

        Pending trials are not in it; their scores are later told as if Optuna had not proposed them.
        """
        scored = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        latest, earlier = scored[-MOST_TRIALS_KEPT // 4 :], scored[: -MOST_TRIALS_KEPT // 4]
        best = sorted(earlier, key=lambda trial: (-float(trial.value or 0.0), trial.number))[: MOST_TRIALS_KEPT // 4]
        self._study = _study(self._study.sampler)
        self._study.add_trials([*sorted(best, key=lambda trial: trial.number), *latest])
        self._pending.clear()
        self._num_kept = len(best) + len(latest)


def sampler(name: str) -> Callable[..., OptunaSampler]:
    """A constructor of the controller `optuna:NAME`, whose signature has the sampler's options that a config can hold.

    Args:
        name: Name of the sampler's class in small letters, without 'Sampler'.

    Raises:
        ConfigError: There is no such sampler, in which case the message has the nearest; or Optuna is missing.
    """
    cls = _sampler_class(name)

    def make(space: SearchSpace, *, seed: int = 0, **options: Any) -> OptunaSampler:
        for option, value in options.items():
            if isinstance(value, int | float) and not isinstance(value, bool):  # Optuna checks the lower bounds
                check_number(f"optuna:{name}", option, value, float(-LARGEST_OPTION), float(LARGEST_OPTION))
        return OptunaSampler(space, seed=seed, sampler=name, options=options)

    parameters = inspect.signature(make).parameters
    # Optuna's annotations are strings, which may name types that its module does not import.
    options = {
        option: p.replace(kind=p.KEYWORD_ONLY, annotation=CONFIG_TYPES[str(p.annotation)])
        for option, p in inspect.signature(cls).parameters.items()
        if str(p.annotation) in CONFIG_TYPES and option != "seed"
    }
    make.__doc__ = f"Optuna's {cls.__name__}, see `OptunaSampler`."
    make.__annotations__ |= {option: p.annotation for option, p in options.items()}
    signature = inspect.Signature([parameters["space"], parameters["seed"], *options.values()])
    make.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
    return make


def _sampler_class(name: str) -> type[Any]:
    try:
        samplers = _samplers()
    except ImportError as error:
        raise ConfigError(f"Optuna cannot be imported ({reason(error)}); {INSTALL}") from error
    if name not in samplers:
        raise ConfigError(f"controller {f'optuna:{name}'!r} is not known: {nearest(name, samplers)}")
    if name == "cmaes" and find_spec("cmaes") is None:  # Optuna would only say so in the middle of a search
        raise ConfigError(f"Optuna's CMA-ES needs the package cmaes, which is missing; {INSTALL}")
    return samplers[name]


def _samplers() -> dict[str, type[Any]]:
    """Optuna's samplers that need no argument, by name.

    Its brute-force sampler is left out: it works in Optuna's own loop only, and `grid` does the same.
    """
    with _quiet():
        from optuna import samplers
    classes = [
        cls for cls in vars(samplers).values() if isinstance(cls, type) and issubclass(cls, samplers.BaseSampler)
    ]
    return {
        cls.__name__.removesuffix("Sampler").lower(): cls
        for cls in classes
        if not cls.__name__.startswith(("Base", "BruteForce"))
        and all(p.default is not p.empty for p in inspect.signature(cls).parameters.values())
    }


def _study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    import optuna

    return optuna.create_study(sampler=sampler, direction="maximize", study_name="nas")


def _parameter(name: str, options: int) -> str:
    """Name of a choice to Optuna, where a name always has the same options; in a search space it need not."""
    return f"{name} of {options}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses Optuna's log of each trial and its warnings of experimental features and of random sampling."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
