"""Rank correlation of zero-cost scores with the accuracy of trained networks, without training anything.

    python -m nas.experiments.zero_cost --cells JSONL [--path OMNIGLOT] [--out TXT] [--json]
    python -m nas.experiments.zero_cost --table NAS_BENCH_201_NPZ [--count 200] [--out TXT] [--json]

The first form scores cells that `nas.experiments.fidelity` has meta-trained, from its file of finished trainings, like
experiments/results/fidelity_any_size_cells.jsonl. The second scores random cells of the published table of CIFAR-10, in
the published networks, on a minibatch of noise. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np
import torch
from scipy.stats import spearmanr

from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.evaluators import Tabular
from nas.evaluators.networks.profile import num_parameters
from nas.evaluators.networks.zero_cost_proxies import grad_norm, naswot, synflow
from nas.failures import reason
from nas.protocols import ZeroCost
from nas.search_spaces import NasBench201
from nas.space import replay, sample
from nas.task import TaskShape

from .command_line import Machine, add_output_options, explained, machine, machine_line, print_table, whole
from .fidelity.settings import config, load
from .meta_evaluator import meta_evaluator
from .rank_correlation import Agreement, agreement

SCORES: tuple[ZeroCost, ...] = get_args(ZeroCost)
DRAWS = 1000
"""Bootstrap samples of the networks."""
CIFAR = TaskShape((3, 32, 32), 10)
BATCH = 32
"""Images of noise in the minibatch; the papers take 64 and 128 images of the data."""
SPEARMAN: Mapping[ZeroCost, float] = {"synflow": 0.74}
"""Published for the whole table (Abdelfattah et al., arXiv 2101.08134), with other initial weights."""


@dataclass(frozen=True)
class Network:
    """Scored network.

    Attributes:
        scores: Its zero-cost scores.
        accuracy: Its accuracy after training.
        seconds: Seconds that the scores took.
    """

    scores: Mapping[str, float]
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Correlation:
    """Rank correlation of one zero-cost score with the accuracy.

    Attributes:
        agreement: Kendall's τ and what belongs to it.
        spearman: Spearman's ρ.
        published_spearman: Published Spearman's ρ; None if none is known.
    """

    agreement: Agreement
    spearman: float
    published_spearman: float | None


@dataclass(frozen=True)
class Table:
    """Result of the study.

    Attributes:
        what: Description of the accuracy.
        networks: Number of networks.
        seconds: Mean seconds that the scores of a network took.
        scores: Correlation of each score.
        machine: The machine that it was measured on.
    """

    what: str
    networks: int
    seconds: float
    scores: Mapping[ZeroCost, Correlation]
    machine: Machine

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON value; agreements stand beside the other numbers of their score."""
        scores = {
            name: {
                **asdict(row.agreement),
                "spearman": row.spearman,
                "published_spearman": row.published_spearman,
            }
            for name, row in self.scores.items()
        }
        return {**vars(self), "scores": scores}


def meta_trained(file: Path, path: str) -> Iterator[Network]:
    """The scored cells of a file of the fidelity study.

    Args:
        file: File of finished trainings.
        path: Path of Omniglot.

    Raises:
        ConfigError: The file cannot be read.
    """
    settings = load(None)
    name = settings.reference.series
    series = settings.series[name]
    evaluator = meta_evaluator(config(settings, series, path))
    try:
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} cannot be read: {reason(error)}; give a trainings.jsonl of nas.experiments.fidelity"
        ) from None
    evaluator.tasks.check()
    for line in lines:
        accuracy = line["rungs"][str(series.rungs[-1])]["value"] if line["series"] == name else None
        if line["seed"] == 0 and accuracy is not None:
            began = time.perf_counter()
            scores = evaluator.features(Architecture.from_json(line["cell"]), SCORES)
            yield Network(scores, accuracy, time.perf_counter() - began)


def published(file: Path, count: int) -> Iterator[Network]:
    """Random cells of NAS-Bench-201 in the published networks, with their test accuracies (%) after 200 epochs."""
    space = NasBench201(width=16, cells=5, published=True)
    table = Tabular(space, file, dataset="cifar10", score="test")
    rng, images = random.Random(0), torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, *CIFAR.input_shape, generator=images)
    y = torch.randint(CIFAR.num_outputs, (BATCH,), generator=images)
    for _ in range(count):
        architecture = sample(space, rng)
        began = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = space.build(replay(space, architecture), CIFAR)
        scores: dict[str, float] = {
            "synflow": synflow(network, CIFAR.input_shape),
            "naswot": naswot(network, x),
            "grad-norm": grad_norm(network, x, y, CIFAR.kind),
            "parameters": float(num_parameters(network)),
        }
        yield Network(scores, table.evaluate(architecture, 200, 0).value, time.perf_counter() - began)


def correlations(networks: Sequence[Network], what: str, published_spearman: Mapping[ZeroCost, float]) -> Table:
    """The rank correlation of each zero-cost score with the accuracy.

    A score of minus infinity, of a network that no signal passes, ranks lowest.

    Args:
        networks: Scored networks.
        what: Description of the accuracy.
        published_spearman: Published Spearman's ρ of some scores.
    """
    accuracies = [network.accuracy for network in networks]
    values = {name: np.nan_to_num([network.scores[name] for network in networks]) for name in SCORES}
    rows = {
        name: Correlation(
            agreement(values[name], accuracies, values["parameters"], draws=DRAWS, seed=0),
            float(spearmanr(values[name], accuracies).statistic),
            published_spearman.get(name),
        )
        for name in SCORES
    }
    return Table(what, len(networks), fmean(network.seconds for network in networks), rows, machine())


def text(table: Table) -> str:
    """The table for people."""
    lines = [
        f"Kendall's τ of zero-cost scores with {table.what}, {table.networks} networks, 95 % bootstrap intervals "
        "over them.",
        "",
        f"{'score':<12}{'τ':>6}{'':^16}{'τ | size':>9}{'over size':>11}{'':^18}{'Spearman':>9}{'published':>11}",
    ]
    for name, row in table.scores.items():
        tau = row.agreement
        interval, over = f"[{tau.low:+.2f}, {tau.high:+.2f}]", f"[{tau.over_low:+.2f}, {tau.over_high:+.2f}]"
        known = "" if row.published_spearman is None else f"{row.published_spearman:.2f}"
        lines.append(
            f"{name:<12}{tau.tau:>6.2f}{interval:^16}{tau.partial:>9.2f}{tau.over_size:>+11.2f}{over:^18}"
            f"{row.spearman:>9.2f}{known:>11}".rstrip()
        )
    about = "τ | size: partial τ given the number of parameters. over size: τ minus that of the number of parameters."
    return "\n".join(
        [*lines, "", f"{about} {table.seconds:.2f} s a network.", f"Machine: {machine_line(table.machine)}"]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.zero_cost", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cells", type=Path, help="a trainings.jsonl of nas.experiments.fidelity")
    source.add_argument("--table", type=Path, help="the .npz file of NAS-Bench-201")
    parser.add_argument("--path", default="", help="where Omniglot is, as `tasks.path` of a config")
    parser.add_argument("--count", type=whole(3), default=200, help="cells of the table")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with explained(parser.prog):
        if options.cells:
            networks = list(meta_trained(options.cells, options.path))
            what = "the accuracy of the full meta-training (fidelity_any_size.txt)"
            table = correlations(networks, what, {})
        else:
            networks = list(published(options.table, options.count))
            what = "the test accuracy after 200 epochs in NAS-Bench-201, CIFAR-10"
            table = correlations(networks, what, SPEARMAN)
        print_table(options, [*parser.prog.split(), *arguments], text(table), table.to_json())


if __name__ == "__main__":
    main()
