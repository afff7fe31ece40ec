"""An exported network on a person's own task: a few labelled examples in, predictions out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import config as configs
from . import own
from .config import Parts
from .errors import DataError, NasError
from .executors.attempt import attempt, reason
from .labels import UNKNOWN, one_spelling
from .protocols import Reader, TaskBatch, TaskShape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image
    from torch import Tensor, nn

    from .export import Exported

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

    Images: one folder a class, named as the class; a query folder may also hold images alone. Series: files as their
    tasks read them; in a query file a class may be '?'. Regression: CSV files of numbers, inputs first, targets last; a
    query file may leave the targets out. Without `query` the support examples themselves are predicted. Raises
    DataError or ConfigError for a folder or file that cannot be used, saying which and why.
    """
    import torch

    from .export import load, meta_learned

    exported = load(folder)
    parts, network = _made(exported, folder)
    shape, learner = exported.shape, parts.measurer.learner
    names: tuple[str, ...] = ()
    if shape.kind == "classification" and isinstance(parts.measurer.tasks, Reader):
        (x, own_labels), (other_x, other_labels) = (
            parts.measurer.tasks.read(path) for path in (support, query or support)
        )
        if UNKNOWN in own_labels:
            raise DataError(f"{support} has an example of class {UNKNOWN!r}, which is for queries; say what it is")
        own_labels, other_labels = one_spelling(own_labels, other_labels)
        names = _classes(tuple(sorted(set(own_labels))), support, shape)
        given = _read(x, own_labels, support, names)
        asked = _read(other_x, other_labels, query or support, names)
    elif shape.kind == "classification":
        names = _classes(_class_names(support), support, shape)
        given, asked = (_images(path, shape, names) for path in (support, query or support))
    else:
        given = _numbers(support, shape)
        asked = given if query is None else _numbers(query, shape, labelled=False)
    weights = meta_learned(network, exported)
    batch = TaskBatch(*(torch.as_tensor(part)[None] for part in (given.x, given.y, asked.x, asked.y)))
    outputs = learner.adapt(network, weights, batch, shape.kind, learner.steps)[:, 0].detach()
    if not torch.isfinite(outputs).all():
        raise DataError(
            f"adapting to {support} gave numbers that are not finite; are its values as large as in training?"
        )
    return _classified(outputs, batch, asked, names) if names else _regressed(outputs, batch, asked)


def _classified(outputs: Tensor, batch: TaskBatch, asked: _Examples, names: Sequence[str]) -> Adapted:
    """From outputs (steps + 1, queries, ways), of which those of the classes at hand count."""
    chosen = outputs[:, :, : len(names)].argmax(dim=-1)
    truths = [names[label] if asked.labelled else None for label in batch.query_y[0].tolist()]
    rows = [Prediction(s, names[p], t) for s, p, t in zip(asked.sources, chosen[-1].tolist(), truths, strict=True)]
    curve = (chosen == batch.query_y[0]).float().mean(dim=1).tolist() if asked.labelled else []
    return Adapted(tuple(rows), tuple(curve))


def _regressed(outputs: Tensor, batch: TaskBatch, asked: _Examples) -> Adapted:
    """From outputs (steps + 1, queries, targets)."""
    truths = [_text(target) if asked.labelled else None for target in batch.query_y[0].tolist()]
    rows = [Prediction(s, _text(p), t) for s, p, t in zip(asked.sources, outputs[-1].tolist(), truths, strict=True)]
    errors = ((outputs - batch.query_y[0]) ** 2).mean(dim=(1, 2)).tolist() if asked.labelled else []
    return Adapted(tuple(rows), tuple(errors))


def _made(exported: Exported, folder: Path) -> tuple[Parts, nn.Module]:
    """What the recipe stands for, and the network. Raises DataError where they do not fit, as after an edit."""

    def make() -> tuple[Parts, nn.Module]:
        own.check_digests(exported.recipe.get("files", {}))
        parts = configs.build(configs.from_json(exported.recipe.get("config")))
        if parts.measurer.tasks.shape != exported.shape:
            raise DataError(f"the recipe's tasks are {parts.measurer.tasks.shape}, the network's {exported.shape}")
        return parts, parts.measurer.network(exported.architecture, seed=0)

    made, error = attempt(make)
    if error is not None:
        why = str(error) if isinstance(error, NasError) else reason(error)
        raise DataError(f"{folder / 'architecture.json'} cannot be used: {why}; export the network again") from error
    parts, network = made
    return parts, network


def _classes(names: tuple[str, ...], support: Path, shape: TaskShape) -> tuple[str, ...]:
    if not 2 <= len(names) <= shape.num_outputs:
        raise DataError(
            f"{support} holds {len(names)} classes; this network was made for 2 to {shape.num_outputs} of them"
        )
    return names


def _known(classes: Iterable[str], names: Sequence[str], where: Path) -> None:
    unknown = sorted(set(classes) - set(names))
    if unknown:
        raise DataError(f"{where} has class {unknown[0]!r}, which the support set does not: {', '.join(names)}")


def _read(x: Tensor, labels: Sequence[str], path: Path, names: Sequence[str]) -> _Examples:
    """What a family read in a file, sorted by class where all are known."""
    _known(set(labels) - {UNKNOWN}, names, path)
    labelled = UNKNOWN not in labels
    order = sorted(range(len(labels)), key=lambda i: labels[i] if labelled else "")
    y = [names.index(labels[i]) if labelled else 0 for i in order]
    return _Examples(x.numpy()[order], y, tuple(f"{path}:{i + 1}" for i in order), labelled)


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a sub-folder of images for each class")
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _image_files(entry)))


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _images(folder: Path, shape: TaskShape, names: Sequence[str]) -> _Examples:
    """The images of a folder, by class where it has a sub-folder a class."""
    import numpy as np

    if len(shape.input_shape) != 3:
        raise DataError(f"this network's inputs are {shape.input_shape}, not images; its tasks must read {folder}")
    classes = _class_names(folder)
    _known(classes, names, folder)
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
    from PIL import Image

    channels, height, width = input_shape

    def read() -> Image.Image:
        with Image.open(path) as image:
            return _plain(image).convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BOX)

    # Attempted: each image format has errors of its own for a damaged file.
    small, error = attempt(read)
    if error is not None:
        raise DataError(f"{path} cannot be read as an image: {reason(error)}")
    values = np.asarray(small, dtype=np.float32) / np.float32(255)
    if channels == 1:
        inked = 1 - values if np.median(values) > 0.5 else values
        return inked[None].astype(np.float32)
    return values.transpose(2, 0, 1).astype(np.float32)


def _plain(image: Image) -> Image:
    """The image as it is meant to be seen: upright, on white paper where it is transparent, with 8 bits a shade."""
    import numpy as np
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        shades = np.asarray(upright, dtype=np.float64)
        return Image.fromarray((255 * (shades - shades.min()) / (np.ptp(shades) or 1)).astype(np.uint8))
    if not upright.has_transparency_data:
        return upright
    paper = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(paper, upright.convert("RGBA")).convert("RGB")


def _numbers(path: Path, shape: TaskShape, *, labelled: bool = True) -> _Examples:
    """The rows of a CSV file; unless `labelled` is asked for, it may lack the targets."""
    import numpy as np

    inputs, targets = math.prod(shape.input_shape), shape.num_outputs
    try:
        with warnings.catch_warnings(action="ignore"):  # of a file without rows
            table = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a CSV file of numbers: {error}") from None
    known = table.shape[1] == inputs + targets
    if not table.size or not (known or (not labelled and table.shape[1] == inputs)):
        raise DataError(
            f"{path} has {len(table)} rows of {table.shape[1]} numbers; it needs rows of {inputs + targets}: "
            f"{inputs} inputs, {targets} targets"
        )
    if not np.isfinite(table).all():
        raise DataError(f"{path} holds a number that is not finite; leave its row out")
    sources = tuple(f"{path}:{row + 1}" for row in range(len(table)))
    y = table[:, inputs:] if known else np.zeros((len(table), targets), dtype=np.float32)
    return _Examples(table[:, :inputs].reshape(-1, *shape.input_shape), y, sources, known)


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(n):.4g}" for n in numbers)
