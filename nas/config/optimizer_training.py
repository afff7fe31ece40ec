"""Config of `nas train-optimizer`: schema and reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ..errors import ConfigError
from ..optimizers import OptimizerTrainer
from ..registry import components
from .path_lookup import PathLookup, log_note
from .paths import absolute_options
from .reading import check_plain, explained, read_text
from .schema import Component, KeyFault, Table
from .toml import key_of, override, parse, place


class NetworkTable(Table):
    """The optimizer's network, a coordinatewise LSTM.

    Attributes:
        hidden: Units of a layer.
        layers: Number of layers.
        preprocessing: p of the gradients' preprocessing.
        output_scale: Factor of the output.
    """

    hidden: Annotated[int, Field(ge=1, le=1024)] = 20
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    preprocessing: Annotated[float, Field(gt=0, le=80)] = 10.0
    output_scale: Annotated[float, Field(gt=0, le=1000)] = 0.1


class TrainingTable(Table):
    """How it is trained.

    Attributes:
        iterations: Batches of functions, each minimised from its start.
        steps: Steps on a function.
        unroll: Steps that are differentiated at once; a divisor of `steps`.
        functions: Functions of a batch.
        rate: Learning rate of Adam on the optimizer's weights.
        anneal: Whether it falls to zero along a half cosine.
        clip: Largest norm of the outer gradient; 0 for any.
        coordinates: Coordinates of a parameter tensor, drawn anew, whose updates are differentiated; 0 for all.
        forget_bias: Added to the initial biases of the forget gates.
        validate_every: Iterations between measurements, which are checkpoints too.
        validation_functions: Functions of a measurement.
        seed: Seed of all random numbers.
        initial: Folder of an optimizer to go on from; empty for random weights.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
    """

    iterations: Annotated[int, Field(ge=1, le=10**7)] = 1000
    steps: Annotated[int, Field(ge=1, le=10**5)] = 100
    unroll: Annotated[int, Field(ge=1, le=10**5)] = 20
    functions: Annotated[int, Field(ge=1, le=10**6)] = 128
    rate: Annotated[float, Field(gt=0, le=10**6)] = 1e-3
    anneal: bool = False
    clip: Annotated[float, Field(ge=0, le=10**12)] = 0.0
    coordinates: Annotated[int, Field(ge=0, le=10**9)] = 0
    forget_bias: Annotated[float, Field(ge=-100, le=100)] = 0.0
    validate_every: Annotated[int, Field(ge=1, le=10**7)] = 50
    validation_functions: Annotated[int, Field(ge=1, le=10**6)] = 256
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    initial: str = ""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?)$")] = "cpu"


class OptimizerConfig(Table):
    """A config of `nas train-optimizer`.

    Attributes:
        optimizer: The optimizer's network.
        optimizee: The functions that it is trained on.
        training: How it is trained.
    """

    optimizer: NetworkTable = NetworkTable()
    optimizee: Component = Component(name="quadratics")
    training: TrainingTable = TrainingTable()


def load_trainer(
    source: str, overrides: Sequence[str] = (), *, note: Callable[[str], None] = log_note
) -> OptimizerTrainer:
    """The training that a TOML file describes. Relative paths in it are looked for as `nas.config.load` does.

    Args:
        source: The file.
        overrides: Keys to set, as KEY=VALUE, applied in order.
        note: Receiver of a line on each path that is, or could be, the one beside the file.

    Raises:
        ConfigError: The file cannot be used; the message has file, line, key, the rule and the nearest valid name.
    """
    text = read_text(source)
    data = parse(source, text)
    for change in overrides:
        override(data, change)
    try:
        lookup = PathLookup(Path(source).absolute().parent, list(map(key_of, overrides)), note)
        return _trainer(_with_absolute_paths(_config(data), lookup))
    except KeyFault as error:
        raise ConfigError(f"{place(source, text, error.path, overrides)}: {error}") from None


def _config(data: dict[str, Any]) -> OptimizerConfig:
    check_plain(data)
    try:
        return OptimizerConfig.model_validate(data)
    except ValidationError as error:
        raise explained(error, OptimizerConfig) from None


def _with_absolute_paths(config: OptimizerConfig, lookup: PathLookup) -> OptimizerConfig:
    table, training = config.optimizee, config.training
    paths = absolute_options("optimizee", table.name, table.options, ("optimizee",), lookup)
    if training.initial:
        initial = lookup.absolute(training.initial, ("training", "initial"))
        training = training.model_copy(update={"initial": initial})
    return config.model_copy(update={"optimizee": table.model_copy(update=paths), "training": training})


def _trainer(config: OptimizerConfig) -> OptimizerTrainer:
    table = config.optimizee
    try:
        optimizee = components.create("optimizee", table.name, table.options, beside=("name",))
    except ConfigError as error:
        raise KeyFault(str(error), ("optimizee",)) from None
    network, training = config.optimizer.model_dump(), config.training.model_dump()
    device = training.pop("device")
    try:
        trainer: OptimizerTrainer = components.optimizer_trainer(network, optimizee, training, device)
    except ConfigError as error:
        raise KeyFault(str(error), ("training",)) from None
    return trainer
