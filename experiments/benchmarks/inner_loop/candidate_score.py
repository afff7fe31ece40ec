"""Candidate-score row of the benchmark: seconds of a full score, with the settings of the quick start."""

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
    """Candidate score to measure: its device, and its numbers of meta-training and evaluation tasks."""

    device: str
    training_tasks: int = 2000
    evaluation_tasks: int = 600

    @property
    def work(self) -> str:
        """Name in the table."""
        return (
            f"seconds of a candidate score: {self.training_tasks} meta-training tasks and {self.evaluation_tasks} "
            "evaluation tasks, space, learner and tasks of the quick start"
        )


class Scorer:
    """Scorer of random candidates, in a process of its own as a worker of a search."""

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
        self._parts.measurer.tasks.tasks("train", range(1), torch.device(score.device))  # so that the data is loaded

    def run(self, seed: int) -> tuple[float, float]:
        """The seconds of scoring a random candidate, and its arithmetic in GFLOP.

        Each example takes one forward pass, and in meta-training a backward pass of twice its arithmetic. The inner
        steps of the head are negligible.
        """
        candidate = sample(self._parts.space, random.Random(seed))
        metrics = self._parts.evaluator.evaluate(candidate, self._budget, 0).metrics
        score = self._score
        examples = 3 * score.training_tasks * self._training + score.evaluation_tasks * self._evaluation
        return metrics["seconds"], metrics["flops"] * examples / 1e9

    def peak_mib(self) -> float:
        """Peak memory of the process in MiB."""
        return peak_mib(torch.device(self._score.device))


def measure_score(score: Score, effort: Effort) -> Row:
    """The row of candidate scores: medians over rounds, in each of which every process scores one candidate.

    The processes share the machine's arithmetic rate, to which `floor_ratio` refers.
    """
    count = effort.processes
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(Scorer, score)) for _ in range(count)]
        runs: list[tuple[float, float]] = []
        for number in range(effort.rounds):
            for index, worker in enumerate(workers):
                worker.start("run", number * count + index)
            runs += [worker.result() for worker in workers]
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
