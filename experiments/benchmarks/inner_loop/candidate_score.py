"""What `inner_loop` measures last: the seconds of a full candidate score, as the quick start's search takes them."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import torch

from nas.config import build, load
from nas.space import sample

from .measure import Effort, Row
from .worker_processes import Worker, peak_mib


@dataclass(frozen=True)
class Score:
    """A candidate's score: how many tasks it takes, and on what device."""

    device: str
    training_tasks: int = 2000
    evaluation_tasks: int = 600

    @property
    def work(self) -> str:
        return (
            f"seconds of a candidate score: {self.training_tasks} meta-training tasks and {self.evaluation_tasks} "
            "evaluation tasks, space, learner and tasks of the quick start"
        )


class Scorer:
    """A worker of a search."""

    def __init__(self, score: Score) -> None:
        torch.set_num_threads(1)
        per_step = 4
        config = load(
            "quickstart",
            [
                f"evaluator.tasks_per_step={per_step}",
                f"evaluator.budget={score.training_tasks // per_step}",
                f"evaluator.validation_tasks={score.evaluation_tasks}",
                f"search.device={score.device}",
            ],
        )
        self._score, self._parts, self._budget = score, build(config), config.evaluator.budget
        assert config.tasks is not None
        tasks, evaluator = config.tasks.options, config.evaluator.options
        self._training = tasks["ways"] * (tasks["shots"] + (evaluator["train_queries"] or tasks["queries"]))
        self._evaluation = tasks["ways"] * (tasks["shots"] + tasks["queries"])
        self._parts.measurer.tasks.tasks("train", range(1), torch.device(score.device))  # loads the data

    def run(self, seed: int) -> tuple[float, float]:
        """A random candidate's seconds, and its arithmetic in GFLOP.

        Each example takes the forward pass once, and in meta-training a backward pass of twice its arithmetic; the
        head's inner steps are next to nothing.
        """
        candidate = sample(self._parts.space, random.Random(seed))
        metrics = self._parts.evaluator.evaluate(candidate, self._budget, 0).metrics
        score = self._score
        examples = 3 * score.training_tasks * self._training + score.evaluation_tasks * self._evaluation
        return metrics["seconds"], metrics["flops"] * examples / 1e9

    def peak_mib(self) -> float:
        return peak_mib(torch.device(self._score.device))


def measure_score(score: Score, effort: Effort) -> Row:
    """Scores random candidates, one a process, as often as there are rounds: medians. All share the machine's rate."""
    count = effort.processes
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(Scorer, score)) for _ in range(count)]
        runs: list[tuple[float, float]] = []
        for number in range(effort.rounds):
            for place, worker in enumerate(workers):
                worker.ask("run", number * count + place)
            runs += [worker.answer() for worker in workers]
        peak = float(sum(worker.call("peak_mib") for worker in workers))
    return Row(
        work=score.work,
        unit="s",
        ours=median(seconds for seconds, _ in runs),
        peers={},
        ratio=None,
        ratio_processes=None,
        floor_ratio=median(seconds * effort.gflops / (count * gflop) for seconds, gflop in runs),
        gflop=median(gflop for _, gflop in runs),
        peak_mib=peak,
        peers_peak_mib={},
        not_installed=[],
    )
