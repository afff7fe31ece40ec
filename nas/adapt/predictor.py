"""An exported network, ready to be adapted to labelled examples and to predict others."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.parts import build, learner_of
from ..data.image_files import opened
from ..data.preprocessing import ImagePreprocessing, Preprocessing, to_json
from ..errors import ConfigError, DataError, NasError
from ..export import checksums, reading, stage_two
from ..export.standalone import adapt as standalone
from ..export.standalone.adapt import Predictor
from ..export.standalone.preprocessing import opened as opened_value
from ..failures import attempt, reason
from ..protocols.evaluators import Measurer
from ..protocols.learners import Portable
from ..protocols.tasks import Preprocessed
from .folder_checks import check_files, check_rule, check_saved, check_sizes
from .recipe import config_of
from .trial_run import check_runs

if TYPE_CHECKING:
    from torch import nn

    from ..export.reading import Exported


SOURCES = "sources"
"""Key of a predictor's settings with the Python files that its user named."""
ONNX = "predictor.onnx"
"""File of a predictor's folder with the adapted network, where it was asked for."""


def load(folder: Path | str, sources: Sequence[Path | str] = ()) -> Predictor:
    """Reads an export, or a folder that `nas adapt --out` or `Predictor.save` wrote.

    Nothing in the folder is executed or unpickled: the network is built from its description in network.json. An export
    without one is built by its search space.

    Args:
        folder: The folder.
        sources: Python files of yours that may be executed, where the export needs a class of them: a search space or a
            learner for an export without network.json, a task family that reads files of series or numbers.

    Returns:
        The network with its rule of adaptation; adapted already where the folder is a predictor's.

    Raises:
        DataError: Files of the folder are missing, damaged or changed, or do not fit together.
    """
    folder, files = Path(folder), tuple(map(Path, sources))
    check_files(folder)
    checksums.check_sums(folder)
    exported = reading.load(folder)
    check_sizes(folder, exported)
    check_saved(folder, exported)
    network = reading.network_of(folder, exported)
    try:
        if network is not None and (folder / stage_two.RULE).is_file():
            check_runs(folder, network, exported.shape)
            check_rule(folder, exported, frozenset(name for name, _ in network.named_parameters()))
            predictor = standalone.load(folder, network)
        else:
            predictor = _rebuilt(folder, exported, files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} cannot be used: {reason(error)}; {reading.REMEDY}") from error
    _check_fitted(folder, predictor)
    predictor.settings = {**predictor.settings, SOURCES: files}
    predictor.read = reader_of(predictor.settings["preprocessing"])
    return predictor


def _check_fitted(folder: Path, predictor: Predictor) -> None:
    """Raises DataError where a saved adaptation is not one of the network."""
    import torch

    if predictor.fitted is None:
        return
    tried = attempt(predictor.outputs, torch.zeros(2, *predictor.rule["input_shape"]))
    outputs = len(predictor.fitted.classes) or predictor.rule["outputs"]
    if tried.error is not None or tried.value.shape != (2, outputs):
        why = "it has another number of classes" if tried.error is None else reason(tried.error)
        raise DataError(f"{folder / standalone.STATE} does not fit the network: {why}; adapt the network again")


def save(predictor: Predictor, folder: Path, *, onnx: bool = False) -> None:
    """Writes an adapted predictor to a new folder.

    Args:
        predictor: The predictor, of a folder that `load` read.
        folder: A folder that does not exist yet, or is empty.
        onnx: Whether the folder has `predictor.onnx` too, the adapted network for preprocessed inputs.

    Raises:
        NasError: There is no ONNX file of it (`nas.export.onnx_file.predictor_onnx`).
        ConfigError: The folder is not empty, or cannot be written.
        DataError: The predictor is one whose network is built by a search space (see `load`), which its own folder
            could not do.
    """
    if not (predictor.folder / stage_two.RULE).is_file():
        raise DataError(
            f"{predictor.folder} has no network.json or no adaptation.json, so a predictor made of it could not stand "
            "alone; export the network again with this version"
        )
    from ..export.onnx_file import predictor_onnx  # loading an export needs none of these
    from ..export.writing import check_target, write_folder

    further = {ONNX: predictor_onnx(predictor)} if onnx else {}
    part = folder.absolute().with_name(f".{folder.name}-{uuid.uuid4().hex[:12]}")
    try:
        check_target(folder)
        predictor.save(part)
        contents = {file.name: file.read_bytes() for file in part.iterdir() if file.name != checksums.SUMS} | further
        write_folder(folder, contents | {checksums.SUMS: checksums.sums_of(contents)})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def reader_of(settings: Any) -> Callable[[Any], Any]:
    """A function that reads an example: a path by the rules of the training images, other values as they are."""

    def read(example: Any) -> Any:
        if isinstance(example, str | os.PathLike):
            if settings is not None and settings["kind"] != ImagePreprocessing.kind:
                raise DataError(f"{example}: this network takes no images; give its numbers as arrays")
            return opened_value(opened(Path(example)))
        return opened_value(example)

    return read


def _rebuilt(folder: Path, exported: Exported, sources: Sequence[Path]) -> Predictor:
    """The predictor with the network that the recipe's search space builds."""
    built = attempt(_built, exported, sources)
    if built.error is not None:
        why = str(built.error) if isinstance(built.error, NasError) else reason(built.error)
        raise DataError(
            f"{folder / 'architecture.json'} cannot be used: {why}; export the network again"
        ) from built.error
    measurer, network = built.value
    parameters = reading.meta_learned(network, exported)
    learner = learner_of(measurer, exported.architecture)
    if not isinstance(learner, Portable):
        raise DataError(
            f"learner {learner.name!r} does not say how it adapts (nas.protocols.Portable), so {folder} cannot be "
            "adapted; give it a method `adaptation`, and export again"
        )
    rule = learner.adaptation(network, parameters, exported.shape.kind)
    settings, learned = stage_two.rule_settings(rule, exported.shape, {name: name for name in parameters})
    preprocessing = _preprocessing(measurer)
    content = None if preprocessing is None else to_json(preprocessing)
    return Predictor(network, folder, {"rule": settings, "preprocessing": content}, learned)


def _built(exported: Exported, sources: Sequence[Path]) -> tuple[Measurer, nn.Module]:
    """The evaluator that the recipe describes, and the architecture's network."""
    measurer = build(config_of(exported, sources)).measurer
    if measurer.tasks.shape != exported.shape:
        raise DataError(f"the recipe's tasks are {measurer.tasks.shape}, the network's {exported.shape}")
    return measurer, measurer.network(exported.architecture, seed=0)


def _preprocessing(measurer: Measurer) -> Preprocessing | None:
    return measurer.tasks.preprocessing() if isinstance(measurer.tasks, Preprocessed) else None
