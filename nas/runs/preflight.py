"""Checks of a config's components before a run's folder is made."""

from __future__ import annotations

import logging
import random
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from ..analysis.pareto_front import check_costs, objectives_of
from ..analysis.protocol_check import SPACE_TABLE, normal
from ..architecture import Architecture
from ..checks.space import Endless, Watched, check_fingerprint, quick
from ..config.parts import Parts, measures
from ..config.paths import space_digest
from ..config.reading import Config
from ..errors import ConfigError, DataError, NasError, Rejected, SpaceError
from ..export.exportable import REMEDY, first_not_source
from ..failures import attempt, reason
from ..protocols import Evaluator, Measurer, Normalising, Protocolled, SearchSpace, Tabled
from ..space.identity import network_key
from ..space.sampling import replay, sample
from ..task import Split

log = logging.getLogger(__name__)
LOOKS = 100
"""Architectures that are looked up before a table is said to lack what is asked of it."""


def check_table(config: Config, parts: Parts) -> dict[str, Any]:
    """Looks an architecture up, where the evaluator is a table: its scores on each rung, its report, its cost where the
    search has a limit, the controller's objectives. Returns the protocol of its score, or nothing without a table.

    A table may have holes, so another one is looked up where something is missing; raises NasError, for the first,
    where all of many lack what the config asks of a table."""
    rng = random.Random(0)
    first = sample(parts.space, rng)
    network_key(parts.space, first)
    if not isinstance(parts.evaluator, Tabled):
        return {}
    protocol, error = attempt(_look, config, parts.evaluator, first)
    for _ in range(LOOKS):
        if not isinstance(error, DataError):
            break
        protocol, other = attempt(_look, config, parts.evaluator, sample(parts.space, rng))
        error = error if other is not None else None
    if error is not None:
        raise error
    found: dict[str, Any] = protocol
    return found


def search_protocol(config: Config, evaluator: Evaluator) -> dict[str, Any] | None:
    """The protocol that the scores of a search's candidates will have, and with a space that is a table the digest of
    its rows; None where neither is told. Raises NasError."""
    rows = space_digest(config)
    space = {} if rows is None else {SPACE_TABLE: rows}
    if not isinstance(evaluator, Protocolled):
        return space or None
    return {**normal(evaluator.search_protocol(config.budgets[0], config.budgets[-1])), **space}


def _look(config: Config, table: Tabled, architecture: Architecture) -> dict[str, Any]:
    table.check(architecture)
    for budget in config.budgets:
        score = table.evaluate(architecture, budget, config.search.seed)
        _, error = attempt(check_costs, objectives_of(config.to_json()), score.metrics)
        if error is not None:
            raise ConfigError(f"{error}; evaluator.metrics names the columns that a table's scores have") from error
        table.reported(architecture, budget)
        if config.search.seconds:
            table.seconds(architecture, budget)
    return dict(score.protocol)


EXPORTED = 3
"""Networks of a space whose export is tried before a search."""


def try_out(config: Config, parts: Parts, executor: Executor) -> dict[str, Any] | None:
    """Has a worker see whether each space is sound, check device and data, draw tasks and build a network, or looks an
    architecture up. Returns the protocol of the search's scores, None where the evaluator tells none. Raises NasError.
    """
    if not measures(parts.evaluator):
        check_table(config, parts)
        return _protocol(config, parts, executor)
    searched = (parts.space, parts.limited, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        error = _trouble(space, limited, evaluator, executor)
        if isinstance(error, NasError):
            raise error
        if error is not None:
            raise SpaceError(
                f"space {space.name!r} cannot be tried on {evaluator.tasks.name!r}: {reason(error)}; "
                "check the options of both"
            ) from error
    return _protocol(config, parts, executor)


def _protocol(config: Config, parts: Parts, executor: Executor) -> dict[str, Any] | None:
    protocol, error = attempt(executor.submit(search_protocol, config, parts.evaluator).result)
    if error is not None:
        raise error if isinstance(error, NasError) else ConfigError(f"what scores rest on is not told: {reason(error)}")
    told: dict[str, Any] | None = protocol
    return told


def try_export(parts: Parts, executor: Executor) -> None:
    """Has a worker try how networks of the space, and the baseline, could be exported, and warns where not as source.
    Raises SpaceError where not at all, for a search must not end with what nobody can take away."""
    configured = parts.evaluator
    if not measures(configured) or (isinstance(configured, Normalising) and configured.norm == "support"):
        return
    searched = (parts.space, parts.limited, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        drawn, rng = [], random.Random(0)
        for _ in range(EXPORTED):
            with suppress(Rejected):
                drawn.append(sample(limited, rng))
        found, error = attempt(executor.submit(first_not_source, evaluator, drawn).result)
        if error is not None:  # then the search's own deadline or limits say it of the candidate
            continue
        file, why = found
        if file is None:
            raise SpaceError(f"a network of space {space.name!r} could not be exported: {why}; {REMEDY}")
        if why:
            log.warning("networks of space %r will be exported as %s, without model.py: %s", space.name, file, why)


def _trouble(space: SearchSpace, limited: SearchSpace, evaluator: Measurer, executor: Executor) -> BaseException | None:
    elsewhere, error = attempt(executor.submit(quick, space).result)  # first there, where an endless `decide` is ended
    if error is None:
        _, error = attempt(check_fingerprint, space, elsewhere)
    if error is None:
        architecture, error = attempt(sample, limited, random.Random(0))
    error = error or attempt(network_key, space, architecture).error
    return error or executor.submit(_check, space, evaluator, architecture).exception()


def _check(space: SearchSpace, evaluator: Measurer, architecture: Architecture) -> None:
    import torch

    watched, shape = Watched(space), evaluator.tasks.shape
    with torch.random.fork_rng(devices=[]):
        _, error = attempt(watched.build, replay(space, architecture), shape)
    if isinstance(error, Endless):
        raise error  # the evaluator would wait for ever; of anything else it says more
    evaluator.check(architecture)
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        evaluator.tasks.tasks(split, range(1), torch.device("cpu"))
