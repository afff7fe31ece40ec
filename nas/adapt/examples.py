"""Examples of a user's task: images in class folders, series, or rows of numbers, read as inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.schema import Config
from ..data.array_examples import read_examples
from ..data.conversions import Conversions
from ..data.image_files import read_converted
from ..data.image_folders import list_classes, list_images
from ..data.preprocessing import ArrayPreprocessing, ImagePreprocessing, SeriesPreprocessing
from ..data.preprocessing import from_json as preprocessing_of
from ..errors import DataError
from ..export import reading
from ..export.standalone.adapt import Predictor
from ..labels import UNKNOWN
from ..protocols.tasks import Reader
from ..registry import components
from .recipe import config_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of one task.

    Attributes:
        x: Inputs (examples, *input_shape) float32.
        labels: Class of each example, UNKNOWN where it is not known; empty in regression.
        targets: (examples, targets) in the units of training; None where they are not known, and in classification.
        sources: The file of each example, with its row where the file has several.
        notes: What was converted or left out, in words.
    """

    x: Tensor
    labels: tuple[str, ...]
    targets: Tensor | None
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether the class or the targets of all examples are known."""
        return self.targets is not None if not self.labels else UNKNOWN not in self.labels


def read(predictor: Predictor, paths: Sequence[Path], *, labelled: bool) -> Examples:
    """Examples in files and folders, as a network takes them.

    Args:
        predictor: The network with its preprocessing, from a folder.
        paths: Folders of class folders, folders of images, image files; or files of series or of rows of numbers.
        labelled: Whether all examples must have a class, or targets.

    Raises:
        DataError: A file cannot be read, is of another form, or lacks labels; the message names it.
    """
    parts = [_read(predictor, path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if labelled and not part.labelled:
            raise DataError(_unlabelled(path, part))
        for what in (part.x, part.targets):
            if what is not None and not what.isfinite().all():
                raise DataError(f"{path} holds a number that is not finite, or too large; leave its example out")
    import torch

    known = [part.targets for part in parts if part.targets is not None]
    return Examples(
        torch.cat([part.x for part in parts]),
        tuple(label for part in parts for label in part.labels),
        torch.cat(known) if len(known) == len(parts) else None,
        tuple(source for part in parts for source in part.sources),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def check_known(examples: Examples, classes: Sequence[str], path: Path) -> None:
    """Raises DataError where a query has a class that the support set does not."""
    unknown = sorted(set(examples.labels) - {UNKNOWN} - set(classes))
    if unknown:
        raise DataError(f"{path} has class {unknown[0]!r}, which the support set does not: {', '.join(classes)}")


def _unlabelled(path: Path, part: Examples) -> str:
    if not part.labels:
        return f"{path} has no targets beside the inputs; give rows of inputs and then targets"
    if path.is_dir():
        return f"{path} has images but no class folders; give a folder with a sub-folder of images for each class"
    return f"{path} has an example of class {UNKNOWN!r}, which is for queries; say what it is"


def _read(predictor: Predictor, path: Path) -> Examples:
    settings = predictor.settings["preprocessing"]
    known = None if settings is None else {key: value for key, value in settings.items() if key != "format"}
    preprocessing = None if known is None else preprocessing_of(known)
    if isinstance(preprocessing, ImagePreprocessing):
        return _images(path, preprocessing)
    if isinstance(preprocessing, SeriesPreprocessing):
        return _series(predictor, path)
    return _rows(predictor, path, preprocessing)


def _images(path: Path, preprocessing: ImagePreprocessing) -> Examples:
    import numpy as np
    import torch

    files, skipped = image_files(path)
    converted = [read_converted(file, preprocessing) for file, _ in files]
    pixels = np.stack([each.pixels for each in converted])
    text = Conversions.of(each.rules for each in converted).text()
    return Examples(
        torch.from_numpy(pixels).float() / torch.full((), 255.0),
        tuple(label for _, label in files),
        None,
        tuple(str(file) for file, _ in files),
        (*skipped, *([text] if text else [])),
    )


def image_files(path: Path) -> tuple[list[tuple[Path, str]], tuple[str, ...]]:
    """Image files with their class, UNKNOWN where it is not known, and what was left out, in words."""
    if path.is_file():
        return [(path, UNKNOWN)], ()
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder of images, or with a sub-folder for each class")
    loose = list_images(path) if path.is_dir() else ()
    try:
        listing = list_classes(path)
    except DataError:
        if not loose:
            raise
        return [(file, UNKNOWN) for file in loose], ()
    skipped = tuple(f"left out of {path}: {line}" for line in listing.skipped)
    if loose:
        skipped += (f"left out of {path}: {len(loose)} images beside the class folders",)
    return [(file, each.name) for each in listing.classes for file in each.images], skipped


def _series(predictor: Predictor, path: Path) -> Examples:
    """Series as the task family of the run reads them; its options are in the export's recipe."""
    config = _config(predictor)
    assert config.tasks is not None
    family = components.create("tasks", config.tasks.name, config.tasks.options)
    if not isinstance(family, Reader):
        raise DataError(f"tasks {config.tasks.name!r} read no files of a user's; adapt from Python, with arrays")
    x, labels = family.read(path)
    return Examples(x, labels, None, tuple(f"{path}:{i + 1}" for i in range(len(labels))))


def _rows(predictor: Predictor, path: Path, preprocessing: ArrayPreprocessing | None) -> Examples:
    import torch

    rule = predictor.rule
    regression = rule["task"] == "regression"
    label = None
    if preprocessing is None:
        count = rule["outputs"] if regression else 0
        shape = tuple(rule["input_shape"])
        preprocessing = ArrayPreprocessing(shape, (0.0,), (1.0,), (0.0,) * count, (1.0,) * count)
    elif not regression:
        tasks = _config(predictor).tasks
        label = None if tasks is None else tasks.options.get("label")
    rows = read_examples(path, preprocessing, label=label)
    targets = None if rows.y is None else torch.from_numpy(rows.y)
    return Examples(torch.from_numpy(rows.x), () if regression else rows.labels, targets, rows.sources)


def _config(predictor: Predictor) -> Config:
    return config_of(reading.load(predictor.folder), predictor.settings.get("sources", ()))
