"""Predictions of an adapted network for files and folders, where one unreadable file does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.preprocessing import ImagePreprocessing
from ..errors import DataError
from ..export.standalone.adapt import Predictor
from .adaptation import Prediction, predictions_of
from .examples import Examples, image_files, read


@dataclass(frozen=True)
class Predicted:
    """Predictions for files.

    Attributes:
        classes: The classes of the predictor; empty in regression.
        predictions: One for each example, in the order of the files.
        failed: For each file that cannot be used, why.
        notes: What was converted or left out, in words.
    """

    classes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    failed: tuple[str, ...]
    notes: tuple[str, ...]


def predict(predictor: Predictor, paths: Sequence[Path]) -> Predicted:
    """Predicts the examples in files and folders.

    Args:
        predictor: An adapted predictor, from a folder that `nas adapt --out` or `Predictor.save` wrote.
        paths: Image files, folders of images or of class folders; or files of series or of rows of numbers.

    Raises:
        DataError: The predictor is not adapted, or no file can be used.
    """
    if predictor.fitted is None:
        raise DataError(
            f"{predictor.folder} is an export, which is not adapted yet; "
            f"run `nas adapt {predictor.folder} --support DIR --out predictor/`, and give that folder"
        )
    parts, failed, notes = _read_each(predictor, paths)
    if not parts:
        more = f" ({len(failed)} such files)" if len(failed) > 1 else ""
        raise DataError(f"{failed[0]}{more}" if failed else f"{paths[0]} holds no examples")
    classes = predictor.fitted.classes
    predictions: list[Prediction] = []
    for part in parts:
        try:
            predictions += predictions_of(predictor, classes, part, predictor.outputs(part.x))
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{part.sources[0]} cannot be predicted: {error}") from error
    return Predicted(classes, tuple(predictions), tuple(failed), tuple(notes))


def _read_each(predictor: Predictor, paths: Sequence[Path]) -> tuple[list[Examples], list[str], list[str]]:
    """Examples by file, why other files cannot be used, and notes of what was left out or converted."""
    parts: list[Examples] = []
    failed: list[str] = []
    notes: list[str] = []
    for path in paths:
        try:
            files, skipped = _files(predictor, path)
        except DataError as error:
            failed.append(str(error))
            continue
        notes += skipped
        for file in files:
            try:
                parts.append(read(predictor, [file], labelled=False))
            except DataError as error:
                failed.append(str(error))
    return parts, failed, [*notes, *_counted(parts)]


def _files(predictor: Predictor, path: Path) -> tuple[list[Path], tuple[str, ...]]:
    settings = predictor.settings["preprocessing"]
    if settings is None or settings["kind"] != ImagePreprocessing.kind:
        return [path], ()
    files, skipped = image_files(path)
    return [file for file, _ in files], skipped


def _counted(parts: Sequence[Examples]) -> tuple[str, ...]:
    """Each note of the files once."""
    return tuple(dict.fromkeys(note for part in parts for note in part.notes))
