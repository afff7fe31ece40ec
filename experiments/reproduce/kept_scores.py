"""Scores of a study that are kept in a folder, so that searches share them and an interrupted study goes on."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nas.architecture import Architecture
from nas.evaluators import SupervisedEvaluator
from nas.task import Bank
from nas.trial import Score


@dataclass(frozen=True)
class KeptScores:
    """Evaluator that computes each score once.

    A score is a function of the architecture, the seed of the training and the protocol, so a search that reads it
    gets what it would have computed.

    Attributes:
        evaluator: The evaluator.
        folder: Where the scores are kept, a file each.
    """

    evaluator: SupervisedEvaluator
    folder: Path

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score of a candidate of a search."""
        path = self._path("search", self.evaluator.search_protocol(budget, budget), architecture, seed)
        return _kept(path) or _keep(path, self.evaluator.evaluate(architecture, budget, seed))

    def measure(self, architecture: Architecture, budget: int, seed: int, bank: Bank) -> Score:
        """The score on a bank, after a training of its own."""
        path = self._path(bank.split, self.evaluator.protocol(budget, bank), architecture, seed)
        score = _kept(path)
        if score is None:
            weights = path.with_suffix(".safetensors")
            weights.unlink(missing_ok=True)
            score = _keep(path, self.evaluator.measure(architecture, budget, seed, bank=bank, weights=weights))
            weights.unlink(missing_ok=True)
        return score

    def _path(self, use: str, protocol: object, architecture: Architecture, seed: int) -> Path:
        digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{use}-{digest}-{architecture.space}-{architecture.key}-{seed}.json"


def _kept(path: Path) -> Score | None:
    with suppress(OSError, ValueError, TypeError, KeyError):  # a missing or damaged file is computed again
        return Score.from_json(json.loads(path.read_text("utf-8")))
    return None


def _keep(path: Path, score: Score) -> Score:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(score.checked().to_json()), encoding="utf-8")
    unfinished.replace(path)
    return score
