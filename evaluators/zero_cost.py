"""Evaluator `zero-cost`: scores of untrained candidates; only the finalists are meta-trained."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, get_args

from nas.architecture import Architecture
from nas.protocols import ZeroCost
from nas.task import Bank
from nas.trial import Score

from .meta import MetaEvaluator


@dataclass(frozen=True)
class ZeroCostEvaluator(MetaEvaluator):
    """Scores a candidate without training, by synflow, naswot, grad-norm or its number of parameters.

    The finals and the options are those of `meta`: the finalists are meta-trained for the budget, which has no effect
    on a candidate's score. All finite zero-cost scores are among a candidate's metrics.

    Attributes:
        score: The score by which candidates are ranked.
    """

    score: ZeroCost = "synflow"

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score of the network with initial weights from `seed`; its standard error is over the tasks used."""
        from .meta_training.devices import device_of, provenance, reproducible
        from .networks.profile import size
        from .networks.zero_cost_proxies import scores

        device, started = device_of(self.device), time.perf_counter()
        network = self.network(architecture, seed)
        metrics = size(network, self.tasks.shape)
        with reproducible(network, device, tf32=self.tf32):
            values_by_name = scores(network, self.tasks, get_args(ZeroCost))
        metrics |= {name: mean for name, values in values_by_name.items() if math.isfinite(mean := fmean(values))}
        values = values_by_name[self.score]
        return Score(
            value=fmean(values),
            stderr=stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0,
            curve=(fmean(values),),
            per_task=values,
            metrics=metrics,
            protocol=self.search_protocol(budget, budget),
            provenance={"seed": seed, **provenance(device)},
            cost_s=time.perf_counter() - started,
        )

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        """The same as `evaluate`, because there is no training to continue."""
        return self.evaluate(architecture, budget, seed)

    def search_protocol(self, budget: int, schedule: int) -> dict[str, Any]:
        """The protocol of the scores of `evaluate`, the same for every budget."""
        from .meta_training.bank_digest import digest
        from .networks.zero_cost_proxies import TASKS

        bank = Bank("train", 0, TASKS)
        options = {"norm": self.norm, "head_norm": self.head_norm, "tf32": self.tf32}
        frozen = {**asdict(bank), "hash": digest(self.tasks, bank)}
        return {"zero_cost": self.score, **options, "bank": frozen, "tasks": self.tasks.describe()}
