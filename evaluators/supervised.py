"""Evaluator `supervised`: ordinary training of a candidate on one data set, and its accuracy on a validation split."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, cast

from nas.architecture import Architecture
from nas.bounds import check_number
from nas.errors import ConfigError
from nas.networks.size import named_if_too_large
from nas.protocols import (
    Augmentation,
    AugmentingSpace,
    Cost,
    Labelled,
    Learner,
    Optimizer,
    SearchSpace,
    TaskFamily,
    ZeroCost,
)
from nas.space import replay
from nas.task import FRESH, Bank
from nas.trial import Score

from .protocol_options import described

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .networks.normalisation import Normalisation
    from .supervised_training.loop import SupervisedTraining
    from .supervised_training.scoring import LabelledTasks

LARGEST_BATCH = 65_536
LARGEST_CROP = 512


@dataclass(frozen=True)
class SupervisedEvaluator:
    """Scores a candidate of `space` by its accuracy on the validation split of `tasks`, after training on the training
    split: neural architecture search as Zoph & Le do it (arXiv 1611.01578, section 4.1). The budget is in epochs.

    The schedule is standard: mini-batches in a new random order each epoch, crops and mirror images, and a rate that
    falls to 0 along a cosine. The same seed gives every candidate the same order, crops and mirror images, and all are
    scored on the same examples, so that scores can be compared example by example.

    Attributes:
        space: Space of the candidates. The augmentation policies that it may choose (`AugmentingSpace`) are used in
            place of `augmentation`.
        tasks: The data set, a task family of labelled examples (`nas.protocols.Labelled`).
        augmentation: Random changes of training images besides crops and mirror images; None for none.
        optimizer: The optimizer; None for SGD with momentum (`supervised_training.optimizers.Sgd`).
        norm: What normalisation layers use: 'running' averages, 'group' statistics of each example, or 'none'
            (`nas.evaluators.networks.normalisation`).
        batch: Largest number of examples of a step, at least 4.
        crop: Pixels of zeros around a training image out of which it is cut at random; 0 for no crop.
        flip: Whether training images are mirrored left to right at random. Crops and flips are of images alone.
        validation_examples: Examples that score candidates, the first of the validation split; 0 for its first half.
            The second half chooses the winner.
        tf32: Whether a GPU multiplies with 10 bits of mantissa.
        device: 'cpu', 'cuda', 'cuda:1', …, or 'auto': a GPU where there is one.
    """

    space: SearchSpace
    tasks: TaskFamily
    augmentation: Augmentation | None = None
    optimizer: Optimizer | None = None
    norm: Literal["running", "group", "none"] = "running"
    batch: int = 128
    crop: int = 4
    flip: bool = True
    validation_examples: int = 0
    tf32: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_number("evaluator", "batch", self.batch, 4, LARGEST_BATCH)
        check_number("evaluator", "crop", self.crop, 0, LARGEST_CROP)
        check_number("evaluator", "validation_examples", self.validation_examples, 0, FRESH)
        if self.validation_examples == 1:
            raise ConfigError("evaluator validation_examples = 1; intervals need at least 2, or 0 for all")
        if not isinstance(self.tasks, Labelled):
            raise ConfigError(
                f"evaluator 'supervised' trains on one data set with labels, and {self.tasks.name!r} draws few-shot "
                "tasks; take tasks such as fashion-mnist, labelled-images or labelled-arrays, or evaluator 'meta'"
            )

    @property
    def learner(self) -> Learner:
        """How an exported network is adapted to other classes; the training itself has no inner loop."""
        from .supervised_training.learning import ADAPTATION

        return ADAPTATION

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError, DataError or SpaceError where device, data or space cannot serve the training."""
        import torch

        from .meta_training.devices import device_of
        from .supervised_training.loop import is_images

        device_of(self.device)
        self.tasks.check()
        self._data.rows(self._bank.split, self._bank.indices)
        examples, _ = self._data.examples("train", torch.device("cpu"))
        if self._augmentation(architecture) is not None and not is_images(examples):
            raise ConfigError(f"evaluator augmentation changes images, and {self.tasks.name!r} has none; leave it out")
        self.network(architecture, seed=0)

    def network(self, architecture: Architecture, seed: int) -> nn.Module:
        """The network with initial weights from `seed`.

        Raises:
            SpaceError: It does not fit the data, or cannot be trained.
        """
        from .networks.building import build
        from .supervised_training.learning import Backpropagation

        return build(
            self.space, architecture, self.tasks.shape, self._normalisation, learner=Backpropagation(), seed=seed
        )

    def cost(self, architecture: Architecture, cost: Cost) -> float:
        """The cost of the network, as `nas.evaluators.networks.costs.cost_of` computes it."""
        from .networks.costs import cost_of

        return cost_of(self.space, architecture, self.tasks.shape, self._normalisation, cost, device=self.device)

    def features(self, architecture: Architecture, names: Sequence[ZeroCost]) -> dict[str, float]:
        """Zero-cost scores of the network (`nas.evaluators.networks.costs.features_of`).

        In place of running averages, which an untrained network lacks, layers use the statistics of the batch.
        """
        from .networks.costs import features_of
        from .networks.normalisation import Normalisation

        normalisation = Normalisation("batch" if self.norm == "running" else self.norm, head_norm=False)
        return features_of(self.space, architecture, self.tasks, normalisation, names)

    def trained(self, architecture: Architecture, budget: int, seed: int, weights: Path) -> nn.Module:
        """The network with the weights that `measure` left in a file. Raises DataError where it holds other weights."""
        from .networks.weights import read_state

        network = self.network(architecture, seed)
        read_state(network, weights, self._label(architecture, budget, seed))
        return network.eval()

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The accuracy on the validation examples after `budget` epochs. Raises NasError where training diverges."""
        return self._score(architecture, budget, seed, self._bank)

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        """The accuracy after the first `budget` epochs of a schedule of `schedule` epochs.

        The training continues from the state in the file `checkpoint`, and writes the new state there.

        Raises:
            NasError: The training diverges.
        """
        return self._score(architecture, budget, seed, self._bank, stages=(schedule, checkpoint))

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        """The accuracy on other examples, with the weights in the file `weights`, newly trained where there is no file.

        Raises:
            ConfigError: The split has fewer examples than the bank.
            DataError: The file holds other weights.
            NasError: The training diverges.
        """
        return self._score(architecture, budget, seed, bank, weights=weights)

    def protocol(self, budget: int, bank: Bank, schedule: int | None = None) -> dict[str, Any]:
        """Everything that determines a score except the seed, as JSON values.

        A training that stops before the end of its schedule has a protocol of its own.
        """
        from .supervised_training.scoring import bank_digest

        training = {**self._training(budget), "schedule": schedule or budget}
        frozen = {**asdict(bank), "hash": bank_digest(self._data, bank)}
        return {**training, "bank": frozen, "tasks": self.tasks.describe()}

    def search_protocol(self, budget: int, schedule: int) -> dict[str, Any]:
        """The protocol of the scores of `evaluate`, or of `advance` for the first `budget` epochs of a schedule."""
        return self.protocol(budget, self._bank, schedule)

    @property
    def _data(self) -> LabelledTasks:
        return cast("LabelledTasks", self.tasks)  # as the constructor checks

    @property
    def _bank(self) -> Bank:
        import torch

        half = len(self._data.examples("validation", torch.device("cpu"))[1]) // 2
        return Bank("validation", 0, self.validation_examples or half)

    @property
    def _normalisation(self) -> Normalisation:
        from .networks.normalisation import Normalisation

        return Normalisation(self.norm, head_norm=False)

    @property
    def _optimizer(self) -> Optimizer:
        from .supervised_training.optimizers import Sgd

        return self.optimizer or Sgd()

    def _augmentation(self, architecture: Architecture) -> Augmentation | None:
        """The augmentation that the space chose, else that of the config."""
        if not isinstance(self.space, AugmentingSpace):
            return self.augmentation
        from .augmentation.policies import PolicyAugmentation

        return PolicyAugmentation(self.space.augmentation(replay(self.space, architecture)))

    def _training(self, budget: int) -> dict[str, Any]:
        return {
            "training": "supervised",
            "budget_unit": "epochs",
            "task_unit": "examples",
            "optimizer": described(self._optimizer),
            "augmentation": described(self.augmentation),
            "norm": self.norm,
            "budget": budget,
            "batch": self.batch,
            "crop": self.crop,
            "flip": self.flip,
            "tf32": self.tf32,
        }

    def _label(self, architecture: Architecture, budget: int, seed: int) -> dict[str, str]:
        """Metadata of a weights file. It leaves out the data, so that a winner can be exported without them."""
        training = {"tasks": self.tasks.name, **self._training(budget)}
        return {"architecture": architecture.key, "seed": str(seed), "training": json.dumps(training)}

    def _score(
        self,
        architecture: Architecture,
        budget: int,
        seed: int,
        bank: Bank,
        *,
        weights: Path | None = None,
        stages: tuple[int, Path] | None = None,
    ) -> Score:
        """The accuracy on `bank`, with weights from the file `weights` where it exists, else newly trained.

        `stages` is None for a whole schedule; else it is the epochs of the schedule and the checkpoint file.
        """
        from .meta_training.devices import device_of, provenance, reproducible
        from .networks.profile import latency_ms, size
        from .networks.weights import read_state, write_state
        from .supervised_training.scoring import correct

        device, started = device_of(self.device), time.perf_counter()
        network = self.network(architecture, seed)
        metrics, epochs = size(network, self.tasks.shape), None
        label = self._label(architecture, budget, seed)
        with named_if_too_large(self.space, architecture), reproducible(network, device, tf32=self.tf32):
            if weights is not None and weights.exists():
                read_state(network, weights, label)
            else:
                epochs = self._train(network, architecture, budget, seed, stages)
                if weights is not None:
                    write_state(network, weights, label)
            metrics["train_seconds"] = time.perf_counter() - started
            values = correct(network, self._data, bank, device)
            metrics["latency_ms"] = latency_ms(network, self.tasks.shape, device)
        return Score(
            value=fmean(values),
            stderr=stdev(values) / len(values) ** 0.5,
            curve=(fmean(values),),
            per_task=tuple(values),
            metrics=metrics,
            protocol=self.protocol(budget, bank, stages[0] if stages else None),
            provenance={"seed": seed, **provenance(device)},
            cost_s=time.perf_counter() - started,
            outer_steps=epochs,
        )

    def _train(
        self, network: nn.Module, architecture: Architecture, budget: int, seed: int, stages: tuple[int, Path] | None
    ) -> int:
        """Trains the network up to epoch `budget`, and returns the epochs trained; `stages` is as in `_score`."""
        from .stages import advance_from

        schedule = stages[0] if stages else budget
        training = self._new_training(network, architecture, schedule, seed)
        if stages is None:
            training.advance(budget)
            return budget
        label = {**self._label(architecture, schedule, seed), "tasks": json.dumps(self.tasks.describe())}
        return advance_from(stages[1], training, budget, label)

    def _new_training(
        self, network: nn.Module, architecture: Architecture, schedule: int, seed: int
    ) -> SupervisedTraining:
        from .supervised_training.loop import Schedule, SupervisedTraining, TrainingData, lay_out_weights

        lay_out_weights(network)
        device: torch.device = next(network.parameters()).device
        examples, labels = self._data.examples("train", device)
        data = TrainingData(examples, labels, self._data.inputs, self._augmentation(architecture))
        return SupervisedTraining(
            network, data, self._optimizer, Schedule(schedule, self.batch, self.crop, self.flip), seed
        )
