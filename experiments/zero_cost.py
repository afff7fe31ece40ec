"""How well zero-cost scores rank networks: Kendall's τ with what their training gave, without training anything.

    python -m nas.experiments.zero_cost --cells JSONL [--path OMNIGLOT] [--out TXT] [--json]
    python -m nas.experiments.zero_cost --table NAS_BENCH_201_NPZ [--count 200] [--out TXT] [--json]

The first: cells that `nas.experiments.fidelity` has meta-trained, from its file of finished trainings or, in
experiments/results, fidelity_any_size_cells.jsonl. The second: random cells of the published table of CIFAR-10, as they
were published, on a minibatch of noise. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np
import torch
from scipy.stats import spearmanr

from nas import config as configs
from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.evaluators import Tabular
from nas.evaluators.networks.profile import num_parameters
from nas.evaluators.networks.zero_cost_proxies import grad_norm, naswot, synflow
from nas.failures import attempt, reason
from nas.protocols import ZeroCost
from nas.search_spaces import NasBench201
from nas.space import replay, sample
from nas.task import TaskShape

from .command_line import explained, machine, output, whole
from .fidelity.settings import config, load
from .rank_correlation import agreement

SCORES: tuple[ZeroCost, ...] = get_args(ZeroCost)
DRAWS = 1000
"""Bootstrap samples of the networks."""
CIFAR = TaskShape((3, 32, 32), 10)
BATCH = 32
"""Images of noise; the papers take 64 and 128 of the data."""
SPEARMAN = {"synflow": 0.74}
"""Published for the whole table: Abdelfattah et al., arXiv 2101.08134. Their networks begin with other weights."""

Row = tuple[dict[ZeroCost, float], float, float]
"""A network's scores, its accuracy as trained, and the seconds that the scores took."""


def meta_trained(file: Path, path: str) -> Iterator[Row]:
    """The cells of a file of the fidelity experiment. Raises ConfigError where it has none."""
    settings = load(None)
    name = settings.reference.series
    series = settings.series[name]
    evaluator: Any = configs.build(config(settings, series, path)).evaluator
    lines, error = attempt(lambda: [json.loads(line) for line in file.read_text("utf-8").splitlines()])
    if error is not None:
        raise ConfigError(f"{file} cannot be read: {reason(error)}; give a trainings.jsonl of nas.experiments.fidelity")
    evaluator.tasks.check()
    for line in lines:
        accuracy = line["rungs"][str(series.rungs[-1])]["value"] if line["series"] == name else None
        if line["seed"] == 0 and accuracy is not None:
            began = time.perf_counter()
            found = evaluator.features(Architecture.from_json(line["cell"]), SCORES)
            yield found, accuracy, time.perf_counter() - began


def published(file: Path, count: int) -> Iterator[Row]:
    """Random cells of NAS-Bench-201 as published, with their test accuracies (%) after 200 epochs."""
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
        found: dict[ZeroCost, float] = {
            "synflow": synflow(network, CIFAR.input_shape),
            "naswot": naswot(network, x),
            "grad-norm": grad_norm(network, x, y, CIFAR.kind),
            "parameters": float(num_parameters(network)),
        }
        yield found, table.evaluate(architecture, 200, 0).value, time.perf_counter() - began


def document(rows: Sequence[Row], what: str, known: Mapping[str, float]) -> dict[str, Any]:
    """All numbers, as JSON values; minus infinity, of what nothing flows through, is the lowest of ranks."""
    accuracies = [accuracy for _, accuracy, _ in rows]
    values = {name: np.nan_to_num([found[name] for found, _, _ in rows]) for name in SCORES}
    ranked = {
        name: {
            **asdict(agreement(values[name], accuracies, values["parameters"], draws=DRAWS, seed=0)),
            "spearman": float(spearmanr(values[name], accuracies).statistic),
            "published_spearman": known.get(name),
        }
        for name in SCORES
    }
    seconds = fmean(seconds for _, _, seconds in rows)
    return {"what": what, "networks": len(rows), "seconds": seconds, "scores": ranked, "machine": machine()}


def text(found: Mapping[str, Any]) -> str:
    """The table for people."""
    lines = [
        f"Kendall's τ of zero-cost scores with {found['what']}, {found['networks']} networks, 95 % bootstrap intervals "
        "over them.",
        "",
        f"{'score':<12}{'τ':>6}{'':^16}{'τ | size':>9}{'over size':>11}{'':^18}{'Spearman':>9}{'published':>11}",
    ]
    for name, row in found["scores"].items():
        ends = (("low", "high"), ("over_low", "over_high"))
        interval, over = (f"[{row[low]:+.2f}, {row[high]:+.2f}]" for low, high in ends)
        known = "" if row["published_spearman"] is None else f"{row['published_spearman']:.2f}"
        lines.append(
            f"{name:<12}{row['tau']:>6.2f}{interval:^16}{row['partial']:>9.2f}{row['over_size']:>+11.2f}{over:^18}"
            f"{row['spearman']:>9.2f}{known:>11}".rstrip()
        )
    described = " · ".join(f"{key} {value}" for key, value in found["machine"].items())
    about = "τ | size: partial τ given the number of parameters. over size: τ minus that of the number of parameters."
    return "\n".join([*lines, "", f"{about} {found['seconds']:.2f} s a network.", f"Machine: {described}"])


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.zero_cost", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cells", type=Path, help="a trainings.jsonl of nas.experiments.fidelity")
    source.add_argument("--table", type=Path, help="the .npz file of NAS-Bench-201")
    parser.add_argument("--path", default="", help="where Omniglot is, as `tasks.path` of a config")
    parser.add_argument("--count", type=whole(3), default=200, help="cells of the table")
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with explained(parser.prog):
        if options.cells:
            rows = list(meta_trained(options.cells, options.path))
            found = document(rows, "the accuracy of the full meta-training (fidelity_any_size.txt)", {})
        else:
            rows = list(published(options.table, options.count))
            found = document(rows, "the test accuracy after 200 epochs in NAS-Bench-201, CIFAR-10", SPEARMAN)
        print(json.dumps(found) if options.json else text(found))
        if options.out:
            command = shlex.join(["python", "-m", "nas.experiments.zero_cost", *arguments])
            options.out.write_text(f"$ {command}\n{text(found)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
