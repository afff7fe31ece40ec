"""A training in a folder: a checkpoint that it goes on from, and the export at its end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from nas.errors import ConfigError, DataError, RunError
from nas.export.tensor_file import tensor_file
from nas.failures import attempt, reason
from nas.regular_files import check_regular

from ..meta_training.devices import device_of
from .files import MOST_WEIGHTS, ExportedOptimizer, read
from .lstm import LstmSpec
from .problems import Optimizee
from .training import TrainingSettings, TrainingState, start, train, validated

CPU = torch.device("cpu")
CHECKPOINT = "checkpoint.safetensors"
PARTS = ("weights", "first", "second", "best")
"""Fields of `TrainingState` that are tensors by name."""
STATE = "state"
"""Key of the checkpoint's metadata with the other fields and the training's description, as JSON."""


@dataclass(frozen=True)
class OptimizerTraining:
    """A training of an optimizer.

    Attributes:
        spec: Size of its network.
        settings: How it is trained.
        optimizee: The functions.
        device: Where it is trained.
        initial: An optimizer to go on from, with a network of the same size; it is measured before the first iteration,
            and is the result where no later weights have a lower validation loss. None starts from random weights.
    """

    spec: LstmSpec
    settings: TrainingSettings
    optimizee: Optimizee
    device: torch.device = CPU
    initial: ExportedOptimizer | None = None

    def __post_init__(self) -> None:
        if self.initial is not None and self.initial.spec != self.spec:
            raise ConfigError(
                f"the initial optimizer has a network of {self.initial.spec}, the training one of {self.spec}; give "
                "the table optimizer the values of the initial one"
            )

    @property
    def iterations(self) -> int:
        return self.settings.iterations

    def to_json(self) -> dict[str, Any]:
        """What the result depends on, but for the device."""
        options = {name: value for name, value in vars(self.optimizee).items() if name not in ("images", "name")}
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        return {
            "network": asdict(self.spec),
            "training": asdict(self.settings),
            "optimizee": {"name": self.optimizee.name, **plain},
            **({} if self.initial is None else {"initial": self.initial.describe()}),
        }

    def run(self, folder: Path, progress: Callable[[TrainingState], None]) -> ExportedOptimizer:
        """Trains to the end, from the folder's checkpoint if there is one; measurements write a new one.

        Args:
            folder: The folder, which is made where it does not exist.
            progress: Called after each iteration.

        Raises:
            RunError: The folder holds a training with other settings.
            DataError: Its checkpoint is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        state = self.state(folder)
        for later in train(self.spec, self.settings, self.optimizee, state):
            state = later
            if state.history and state.history[-1][0] == state.iteration:
                self._save(folder / CHECKPOINT, state)
            progress(state)
        return self.exported(state)

    def state(self, folder: Path) -> TrainingState:
        """The state of the folder's checkpoint, or that before the first iteration."""
        path = folder / CHECKPOINT
        if path.exists():
            return self._load(path)
        if self.initial is None:
            return start(self.spec, self.settings, self.device)
        first = start(self.spec, self.settings, self.device, self.initial.weights)
        return validated(self.spec, self.settings, self.optimizee, first, self.device)

    def exported(self, state: TrainingState) -> ExportedOptimizer:
        """The optimizer with the least validation loss so far."""
        weights = {name: weight.cpu() for name, weight in state.best.items()}
        trained = {**self.to_json(), "iterations": state.iteration, "validation_loss": state.best_loss}
        return ExportedOptimizer(self.spec, weights, trained)

    def _save(self, path: Path, state: TrainingState) -> None:
        tensors = {f"{part}/{name}": t.cpu().clone() for part in PARTS for name, t in getattr(state, part).items()}
        about = {
            "training": self.to_json(),
            "iteration": state.iteration,
            "best_loss": state.best_loss,
            "history": state.history,
        }
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(tensor_file(tensors, {STATE: json.dumps(about)}))
        os.replace(unfinished, path)

    def _load(self, path: Path) -> TrainingState:
        check_regular(path, MOST_WEIGHTS * len(PARTS))
        loaded = attempt(_contents, path)
        if loaded.error is not None:
            raise DataError(f"{path} is damaged: {reason(loaded.error)}; remove it, and the training starts again")
        tensors, about = loaded.value
        if about.get("training") != json.loads(json.dumps(self.to_json())):
            raise RunError(f"{path.parent} holds a training with other settings; give another folder or name")
        made = attempt(self._state, tensors, about)
        if made.error is not None:
            raise DataError(f"{path} is damaged: {reason(made.error)}; remove it, and the training starts again")
        return made.value

    def _state(self, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> TrainingState:
        first = start(self.spec, self.settings, self.device)
        parts = {
            part: {name: tensors[f"{part}/{name}"].to(like).view_as(like) for name, like in first.weights.items()}
            for part in PARTS
        }
        history = tuple((int(iteration), float(loss)) for iteration, loss in about["history"])
        return replace(
            first, iteration=int(about["iteration"]), best_loss=float(about["best_loss"]), history=history, **parts
        )


def of_tables(
    network: Mapping[str, Any], optimizee: Optimizee, training: Mapping[str, Any], device: str
) -> OptimizerTraining:
    """The training that the tables of a config describe.

    Args:
        network: Options of `LstmSpec`.
        optimizee: The functions.
        training: Options of `TrainingSettings`, and `initial`: the folder of an optimizer to go on from, or ''.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        ConfigError: A value is out of range, or there is no such device.
        DataError: The folder of the initial optimizer cannot be used.
    """
    options = dict(training)
    folder = options.pop("initial", "")
    initial = read(Path(folder).expanduser()) if folder else None
    return OptimizerTraining(LstmSpec(**network), TrainingSettings(**options), optimizee, device_of(device), initial)


def _contents(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a checkpoint and the JSON of its metadata. Raises anything for a damaged file."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()[STATE])  # noqa: SIM118
