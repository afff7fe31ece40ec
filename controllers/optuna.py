"""The samplers of Optuna (Akiba et al., arXiv 1907.10902), through its ask and tell: `optuna:tpe` and others."""

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
from nas.failures import attempt, reason
from nas.protocols import SearchSpace
from nas.space import Pick, decide, num_options, sample
from nas.trial import Trial

from .without_replacement import Unseen

if TYPE_CHECKING:
    import optuna

MOST_REPEATS, MOST_REJECTED = 10, 100
"""Proposals of a sampler that were made before, and that are not allowed, until a random one is taken."""
MOST_HELD = 10_000
"""Trials that Optuna is left with at most, which takes some 8 KiB for each: then half as many stay, the best and the
latest."""
MOST_OPTION = 100_000
"""The largest number that an option of a sampler may be: such as of candidates, which it makes all at once."""
NUMBERS_ONLY = {"cmaes", "qmc"}
"""Samplers that treat no names of options: to them the options are numbers in a row."""
INSTALL = "pip install 'adaptnas[optuna]'"
PLAIN: Mapping[str, Any] = {
    f"{kind.__name__}{end}": kind | None if end else kind for kind in (bool, int, float, str) for end in ("", " | None")
}


class OptunaSampler:
    """A sampler of Optuna proposes: `tpe` (Bergstra et al., 2011), `gp`, `nsgaii`, `random` or another.

    sampler  its class's name in Optuna in small letters, without 'Sampler'
    options  arguments of its constructor, but the seed

    A choice is a categorical parameter, asked for where it is made; to CMA-ES and quasi-Monte Carlo, which leave such
    to chance, a whole number. For what was proposed before Optuna is told the score once more, as it advises, and asked
    again; where a sampler insists, a random architecture is proposed instead, and when nothing is left, `ask` gives
    less than it is asked for. What the space rejects, and a trial without a finite score, are failed trials to Optuna.
    Of more than `MOST_HELD` trials it forgets all but the best and the latest.
    Raises ConfigError where Optuna, or what a sampler needs, is missing.
    """

    def __init__(
        self, space: SearchSpace, *, seed: int = 0, sampler: str = "tpe", options: Mapping[str, Any] | None = None
    ) -> None:
        cls = _found(sampler)
        self.name = f"optuna:{sampler}"
        self._space = space
        self._numbers = sampler in NUMBERS_ONLY
        self._unseen = Unseen(space, seed=seed)
        self._pending: dict[Architecture, int] = {}
        self._values: dict[Architecture, float] = {}
        self._exhausted = False
        self._held = 0
        with _quiet():
            self._study, error = attempt(_study, cls, {**(options or {}), "seed": seed % 2**32})
        if error is not None:
            raise ConfigError(f"controller {self.name!r} cannot be made: {reason(error)}") from error

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is drawn."""
        with _quiet():
            return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tells Optuna, also of what was not asked for. Raises SpaceError for trials of another space."""
        with _quiet():
            for trial in trials:
                known = math.isfinite(trial.value)
                number = self._pending.pop(trial.architecture, None)
                if number is not None:
                    self._end(number, trial.value if known else None)
                elif known:
                    self._add(trial)
                if known:
                    self._unseen.see(trial.architecture)
                    self._values[trial.architecture] = trial.value
                if self._held > MOST_HELD:
                    self._forget()

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._exhausted:
            return None
        repeats = rejected = 0
        while repeats < MOST_REPEATS and rejected < MOST_REJECTED:
            asked = self._study.ask()
            self._held += 1
            try:
                architecture = decide(self._space, self._suggested(asked))[1]
            except Rejected:
                self._end(asked.number, None)
                rejected += 1
                continue
            if architecture in self._unseen:
                self._pending[architecture] = asked.number
                return architecture
            self._end(asked.number, self._values.get(architecture))
            repeats += 1
        other = self._unseen.draw(lambda: sample(self._space, rng), rng)
        self._exhausted = other is None
        return other

    def _end(self, number: int, value: float | None) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)

    def _suggested(self, asked: optuna.Trial) -> Pick:
        def pick(name: str, options: int) -> int:
            parameter = _parameter(name, options)
            if self._numbers:
                return asked.suggest_int(parameter, 0, options - 1)
            return asked.suggest_categorical(parameter, range(options))

        return pick

    def _add(self, trial: Trial) -> None:
        """Tells Optuna of a scored trial that it was not asked for."""
        import optuna
        from optuna.distributions import CategoricalDistribution, IntDistribution

        picks, sizes = trial.architecture.picks, num_options(self._space, trial.architecture)
        made = optuna.trial.create_trial(
            value=trial.value,
            params={_parameter(name, options): picks[name] for name, options in sizes.items()},
            distributions={
                _parameter(name, options): IntDistribution(0, options - 1)
                if self._numbers
                else CategoricalDistribution(range(options))
                for name, options in sizes.items()
            },
        )
        self._study.add_trial(made)
        self._held += 1

    def _forget(self) -> None:
        """Goes on with a study of the best scored trials and the latest. What is pending is then told as if it had not
        been asked for."""
        import optuna

        scored = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        latest, before = scored[-MOST_HELD // 4 :], scored[: -MOST_HELD // 4]
        best = sorted(before, key=lambda trial: (-float(trial.value or 0.0), trial.number))[: MOST_HELD // 4]
        self._study = optuna.create_study(sampler=self._study.sampler, direction="maximize", study_name="nas")
        self._study.add_trials([*sorted(best, key=lambda trial: trial.number), *latest])
        self._pending.clear()
        self._held = len(best) + len(latest)


def sampler(name: str) -> Callable[..., OptunaSampler]:
    """A constructor of the controller `optuna:NAME`, with those of the sampler's options that a config can hold.

    Raises ConfigError for another name, with the nearest, and where Optuna is not there.
    """
    cls = _found(name)

    def make(space: SearchSpace, *, seed: int = 0, **options: Any) -> OptunaSampler:
        for option, value in options.items():
            if isinstance(value, int | float) and not isinstance(value, bool):  # Optuna knows the lower bounds
                check_number(f"optuna:{name}", option, value, float(-MOST_OPTION), float(MOST_OPTION))
        return OptunaSampler(space, seed=seed, sampler=name, options=options)

    parameters = inspect.signature(make).parameters
    given = [parameters["space"], parameters["seed"]]
    # The annotations are texts, which may name what the module itself does not import.
    plain = {
        option: p.replace(kind=p.KEYWORD_ONLY, annotation=PLAIN[str(p.annotation)])
        for option, p in inspect.signature(cls).parameters.items()
        if str(p.annotation) in PLAIN and option != "seed"
    }
    make.__doc__ = f"Optuna's {cls.__name__}, see `OptunaSampler`."
    make.__annotations__ |= {option: p.annotation for option, p in plain.items()}
    make.__signature__ = inspect.Signature([*given, *plain.values()])  # type: ignore[attr-defined]  # inspect looks
    return make


def _found(name: str) -> type[Any]:
    """The class of a sampler. Raises ConfigError."""
    samplers, error = attempt(_samplers)
    if error is not None:
        raise ConfigError(f"Optuna cannot be imported ({reason(error)}); {INSTALL}") from error
    if name not in samplers:
        raise ConfigError(f"controller {f'optuna:{name}'!r} is not known: {nearest(name, samplers)}")
    if name == "cmaes" and find_spec("cmaes") is None:  # which Optuna would say in the middle of a search
        raise ConfigError(f"Optuna's CMA-ES needs the package cmaes, which is missing; {INSTALL}")
    cls: type[Any] = samplers[name]
    return cls


def _samplers() -> dict[str, type[Any]]:
    """All of Optuna's that can be made without being told of the space; not its brute force, which is `grid` here and
    works in Optuna's own loop alone."""
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


def _study(cls: type[Any], options: Mapping[str, Any]) -> optuna.Study:
    import optuna

    return optuna.create_study(sampler=cls(**options), direction="maximize", study_name="nas")


def _parameter(name: str, options: int) -> str:
    """What a choice is called: to Optuna one name has the same options always, to a space not."""
    return f"{name} of {options}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log of each trial, and its warnings that something is new or left to chance."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
