"""An exported network on a person's own task: a few labelled examples in, predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import config as configs
from .errors import DataError
from .protocols import TaskBatch, TaskShape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Prediction:
    """One query example: where it is from, what was predicted, and the truth where it is known (else None).

    For classification both are class names; for regression, numbers as text.
    """

    source: str
    predicted: str
    truth: str | None


@dataclass(frozen=True)
class Adapted:
    """Predictions for the queries, and their accuracy (or mean squared error) after 0, 1, …, k inner steps; an empty
    curve where the truth is not known."""

    predictions: tuple[Prediction, ...]
    curve: tuple[float, ...]


@dataclass(frozen=True)
class _Examples:
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32] | Sequence[int]
    sources: tuple[str, ...]
    labelled: bool


def adapt(folder: Path, support: Path, query: Path | None) -> Adapted:
    """Adapts an exported network to the examples in `support` and predicts those in `query`.

    Images: one folder a class, named as the class; a query folder may also hold images alone. Regression: CSV files of
    numbers, inputs first, targets last. Without `query` the support examples themselves are predicted. Raises
    DataError or ConfigError for a folder or file that cannot be used, saying which and why.
    """
    import torch

    from .export import load, meta_learned

    exported = load(folder)
    parts = configs.build(configs.from_json(exported.recipe["config"]))
    shape = exported.shape
    if shape.kind == "classification":
        names = _class_names(support)
        if not 2 <= len(names) <= shape.num_outputs:
            raise DataError(
                f"{support} holds {len(names)} classes; this network was made for 2 to {shape.num_outputs} of them"
            )
        given, asked = (_images(path, shape, names) for path in (support, query or support))
    else:
        names = ()
        given, asked = (_numbers(path, shape) for path in (support, query or support))
    network = parts.evaluator.network(exported.architecture, seed=0)
    weights = meta_learned(network, exported)
    batch = TaskBatch(*(torch.as_tensor(part)[None] for part in (given.x, given.y, asked.x, asked.y)))
    learner = parts.evaluator.learner
    outputs = learner.adapt(network, weights, batch, shape.kind, learner.steps)[:, 0].detach()
    if shape.kind == "regression":
        errors = ((outputs - batch.query_y[0]) ** 2).mean(dim=(1, 2))
        rows = [Prediction(s, _text(p), _text(t)) for s, p, t in zip(asked.sources, outputs[-1], asked.y, strict=True)]
        return Adapted(tuple(rows), tuple(errors.tolist()))
    chosen = outputs[:, :, : len(names)].argmax(dim=-1)
    rows = [
        Prediction(source, names[int(p)], names[t] if asked.labelled else None)
        for source, p, t in zip(asked.sources, chosen[-1], asked.y, strict=True)
    ]
    curve = (chosen == batch.query_y[0]).float().mean(dim=1).tolist() if asked.labelled else []
    return Adapted(tuple(rows), tuple(curve))


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a sub-folder of images for each class")
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _image_files(entry)))


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _images(folder: Path, shape: TaskShape, names: Sequence[str]) -> _Examples:
    """The images of a folder, by class where it has a sub-folder a class."""
    import numpy as np

    classes = _class_names(folder)
    unknown = sorted(set(classes) - set(names))
    if unknown:
        raise DataError(f"{folder} has class {unknown[0]!r}, which the support set does not: {', '.join(names)}")
    files = [(path, names.index(name)) for name in classes for path in _image_files(folder / name)]
    labelled = bool(files)
    files = files or [(path, 0) for path in _image_files(folder)]
    if not files:
        raise DataError(f"{folder} holds no images ({' '.join(IMAGES)}), neither in sub-folders nor by itself")
    x = np.stack([_image(path, shape.input_shape) for path, _ in files])
    return _Examples(x, [label for _, label in files], tuple(str(path) for path, _ in files), labelled)


def _image(path: Path, input_shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One image as (channels, height, width) in [0, 1]. A grey image is ink on paper: the rarer shade is 1."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    channels, height, width = input_shape
    try:
        with Image.open(path) as image:
            grey = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None
    values = np.asarray(grey, dtype=np.float32) / np.float32(255)
    if channels == 1:
        inked = 1 - values if np.median(values) > 0.5 else values
        return inked[None].astype(np.float32)
    return values.transpose(2, 0, 1).astype(np.float32)


def _numbers(path: Path, shape: TaskShape) -> _Examples:
    import numpy as np

    inputs = shape.input_shape[0]
    columns = inputs + shape.num_outputs
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a CSV file of numbers: {error}") from None
    if table.shape[1] != columns or not np.isfinite(table).all():
        raise DataError(
            f"{path} has {table.shape[1]} columns; it needs {columns} finite numbers a row: inputs, targets"
        )
    sources = tuple(f"{path}:{row + 1}" for row in range(len(table)))
    return _Examples(table[:, :inputs], table[:, inputs:], sources, True)


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(n):.4g}" for n in numbers)
