"""Checks of a config's components before a run's folder is made."""

from __future__ import annotations

import logging
import os
import random
from contextlib import suppress
from typing import Any

from ..analysis.pareto_front import check_costs, objectives_of
from ..analysis.protocol_check import SPACE_TABLE, normal
from ..architecture import Architecture
from ..checks.space import CheckedSpace, SpaceTimeout, check_fingerprint, quick_check
from ..config.parts import Parts, measures
from ..config.paths import data_files, space_digest
from ..config.schema import Config, FinalTable
from ..errors import ConfigError, DataError, NasError, Rejected, SpaceError
from ..export.exportable import REMEDY, first_not_source
from ..failures import attempt, reason
from ..protocols.evaluators import Evaluator, Measurer, Normalising, Protocolled, Tabled
from ..protocols.executors import Submits
from ..protocols.spaces import SearchSpace
from ..protocols.tasks import Inventoried, Labelled
from ..space.identity import network_key
from ..space.sampling import replay, sample
from ..task import FRESH, Bank, Split

log = logging.getLogger(__name__)
MOST_LOOK_UPS = 101
"""Architectures that are looked up before a table is said to lack what a config asks of it."""
NUM_EXPORTED = 3
"""Networks of a space whose export is tried before a search."""


def check_table(config: Config, parts: Parts) -> dict[str, Any]:
    """Looks an architecture up in the evaluator's table, where it is one.

    The table must have its score on each rung, what it reports, its seconds where the search has a limit of them, and
    the controller's objectives. As a table may have holes, another architecture is looked up where one is missing.

    Returns:
        The protocol of the architecture's score; empty without a table.

    Raises:
        NasError: The table lacks what the config asks of it.
    """
    rng = random.Random(0)
    architecture = sample(parts.space, rng)
    network_key(parts.space, architecture)
    if not isinstance(parts.evaluator, Tabled):
        return {}
    missing: DataError | None = None
    for _ in range(MOST_LOOK_UPS):
        try:
            return _look_up(config, parts.evaluator, architecture)
        except DataError as error:
            missing = missing or error
        architecture = sample(parts.space, rng)
    assert missing is not None
    raise missing


def search_protocol(config: Config, evaluator: Evaluator) -> dict[str, Any] | None:
    """The protocol that the scores of a search's candidates will have, with the digest of the rows of a space that is a
    table; None where there is neither. Raises NasError."""
    rows = space_digest(config)
    space = {} if rows is None else {SPACE_TABLE: rows}
    if not isinstance(evaluator, Protocolled):
        return space or None
    return {**normal(evaluator.search_protocol(config.budgets[0], config.budgets[-1])), **space}


def _look_up(config: Config, table: Tabled, architecture: Architecture) -> dict[str, Any]:
    table.check(architecture)
    for budget in config.budgets:
        score = table.evaluate(architecture, budget, config.search.seed)
        try:
            check_costs(objectives_of(config.to_json()), score.metrics)
        except ConfigError as error:
            raise ConfigError(f"{error}; evaluator.metrics names the columns that a table's scores have") from error
        table.reported(architecture, budget)
        if config.search.seconds:
            table.seconds(architecture, budget)
    return dict(score.protocol)


def check_paths(config: Config, parts: Parts) -> None:
    """Checks in this process, before any worker starts, that the data of a config are given and there.

    Raises:
        DataError: A file or folder does not exist.
        ConfigError: A built-in task family needs a path, and has none.
    """
    if config.tasks is not None and config.tasks.options.get("download") is True:
        return
    for path in data_files(config):
        if not os.path.lexists(path):
            raise DataError(f"{path} does not exist; correct the path in the config, or put the data there")
    tasks = parts.measurer.tasks if measures(parts.evaluator) else None
    if type(tasks).__module__.startswith("nas.") and getattr(tasks, "path", "") is None:
        check = getattr(tasks, "check", None)
        if check is not None:
            check()


def try_out(config: Config, parts: Parts, executor: Submits) -> dict[str, Any] | None:
    """Tries a config's spaces, device and data in a worker: draws tasks and builds networks, or looks up in a table.

    Args:
        config: The config.
        parts: Its components.
        executor: Place where candidates will be evaluated.

    Returns:
        The protocol of the search's scores; None where the evaluator declares none.

    Raises:
        NasError: One of them cannot be used.
    """
    if not measures(parts.evaluator):
        check_table(config, parts)
        return _protocol(config, parts, executor)
    if isinstance(parts.measurer.tasks, Labelled):
        executor.submit(_check_banks, parts.measurer.tasks, config.final).result()
    searched = (parts.space, parts.constrained, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        error = _error(space, limited, evaluator, executor)
        if isinstance(error, NasError):
            raise error
        if error is not None:
            raise SpaceError(
                f"space {space.name!r} cannot be tried on {evaluator.tasks.name!r}: {reason(error)}; "
                "check the options of both"
            ) from error
    return _protocol(config, parts, executor)


def _check_banks(tasks: Labelled, final: FinalTable) -> None:
    """Raises ConfigError where a data set has fewer examples than the finals measure."""
    for bank in (Bank("validation", FRESH, final.validation_tasks), Bank("test", 0, final.tasks)):
        try:
            tasks.rows(bank.split, bank.indices)
        except ConfigError as error:
            option = "tasks" if bank.split == "test" else "validation_tasks"
            raise ConfigError(f"final.{option} = {bank.count:,}: {error}") from None


def _protocol(config: Config, parts: Parts, executor: Submits) -> dict[str, Any] | None:
    protocol = attempt(executor.submit(search_protocol, config, parts.evaluator).result)
    if protocol.error is None:
        found: dict[str, Any] | None = protocol.value
        return found
    if isinstance(protocol.error, NasError):
        raise protocol.error
    raise ConfigError(
        f"evaluator {config.evaluator.name!r} cannot give the protocol of its scores ({reason(protocol.error)}); "
        "correct its search_protocol"
    )


def data_inventory(parts: Parts, executor: Submits) -> dict[str, str] | None:
    """Digests of the user's data by class, from a worker; None for tasks without an inventory. Raises NasError."""
    if not measures(parts.evaluator) or not isinstance(parts.measurer.tasks, Inventoried):
        return None
    inventory = attempt(executor.submit(_inventory, parts.measurer.tasks).result)
    if inventory.error is None:
        digests: dict[str, str] = inventory.value
        return digests
    if isinstance(inventory.error, NasError):
        raise inventory.error
    raise DataError(f"tasks {parts.measurer.tasks.name!r} cannot list their data: {reason(inventory.error)}")


def _inventory(tasks: Inventoried) -> dict[str, str]:
    return dict(tasks.inventory())


def try_export(parts: Parts, executor: Submits) -> None:
    """Tries in a worker how networks of the space, and the baseline, could be exported.

    A warning is logged where they could not be exported as source.

    Raises:
        SpaceError: They could not be exported at all, so that the search would end with a network nobody can use.
    """
    configured = parts.evaluator
    if not measures(configured) or (isinstance(configured, Normalising) and configured.norm == "support"):
        return
    searched = (parts.space, parts.constrained, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        samples, rng = [], random.Random(0)
        for _ in range(NUM_EXPORTED):
            with suppress(Rejected):
                samples.append(sample(limited, rng))
        exportable = attempt(executor.submit(first_not_source, evaluator, samples).result)
        if exportable.error is not None:  # The search itself will say what is wrong with such candidates.
            continue
        file, why = exportable.value
        if file is None:
            raise SpaceError(f"a network of space {space.name!r} could not be exported: {why}; {REMEDY}")
        if why:
            log.warning("networks of space %r will be exported as %s, without model.py: %s", space.name, file, why)


def _error(space: SearchSpace, limited: SearchSpace, evaluator: Measurer, executor: Submits) -> BaseException | None:
    sampled = attempt(_sampled, space, limited, executor)
    if sampled.error is not None:
        return sampled.error
    return executor.submit(_check, space, evaluator, sampled.value).exception()


def _sampled(space: SearchSpace, limited: SearchSpace, executor: Submits) -> Architecture:
    """An architecture of a space that makes the same choices in a worker as here."""
    # The worker comes first, for there an endless `decide` has a deadline.
    check_fingerprint(space, executor.submit(quick_check, space).result())
    architecture = sample(limited, random.Random(0))
    network_key(space, architecture)
    return architecture


def _check(space: SearchSpace, evaluator: Measurer, architecture: Architecture) -> None:
    import torch

    watched, shape = CheckedSpace(space), evaluator.tasks.shape
    with torch.random.fork_rng(devices=[]):
        built = attempt(watched.build, replay(space, architecture), shape)
    if isinstance(built.error, SpaceTimeout):
        raise built.error  # The evaluator would never return; about any other error it says more.
    evaluator.check(architecture)
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        evaluator.tasks.tasks(split, range(1), torch.device("cpu"))
