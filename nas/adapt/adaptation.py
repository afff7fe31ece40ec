"""An exported network on a person's own task: a few labelled examples in, predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import reading as configs
from ..config.parts import Parts, build
from ..errors import DataError, NasError
from ..failures import attempt, reason
from ..labels import UNKNOWN, one_spelling
from ..protocols import Reader
from ..registry import user_files
from ..task import TaskBatch
from .examples import Examples, class_names, classes_of, labelled_examples, read_images, read_numbers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..export.reading import Exported


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


def adapt(folder: Path, support: Path, query: Path | None) -> Adapted:
    """Adapts an exported network to the examples in `support` and predicts those in `query`.

    Images: one folder a class, named as the class; a query folder may also hold images alone. Series: files as their
    tasks read them; in a query file a class may be '?'. Regression: CSV files of numbers, inputs first, targets last; a
    query file may leave the targets out. Without `query` the support examples themselves are predicted. Raises
    DataError or ConfigError for a folder or file that cannot be used, saying which and why.
    """
    import torch

    from ..export.reading import load, meta_learned

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
        names = classes_of(tuple(sorted(set(own_labels))), support, shape)
        given = labelled_examples(x, own_labels, support, names)
        asked = labelled_examples(other_x, other_labels, query or support, names)
    elif shape.kind == "classification":
        names = classes_of(class_names(support), support, shape)
        given, asked = (read_images(path, shape, names) for path in (support, query or support))
    else:
        given = read_numbers(support, shape)
        asked = given if query is None else read_numbers(query, shape, labelled=False)
    weights = meta_learned(network, exported)
    batch = TaskBatch(*(torch.as_tensor(part)[None] for part in (given.x, given.y, asked.x, asked.y)))
    outputs = learner.adapt(network, weights, batch, shape.kind, learner.steps)[:, 0].detach()
    if not torch.isfinite(outputs).all():
        raise DataError(
            f"adapting to {support} gave numbers that are not finite; are its values as large as in training?"
        )
    return _classified(outputs, batch, asked, names) if names else _regressed(outputs, batch, asked)


def _classified(outputs: Tensor, batch: TaskBatch, asked: Examples, names: Sequence[str]) -> Adapted:
    """From outputs (steps + 1, queries, ways), of which those of the classes at hand count."""
    chosen = outputs[:, :, : len(names)].argmax(dim=-1)
    truths = [names[label] if asked.labelled else None for label in batch.query_y[0].tolist()]
    rows = [Prediction(s, names[p], t) for s, p, t in zip(asked.sources, chosen[-1].tolist(), truths, strict=True)]
    curve = (chosen == batch.query_y[0]).float().mean(dim=1).tolist() if asked.labelled else []
    return Adapted(tuple(rows), tuple(curve))


def _regressed(outputs: Tensor, batch: TaskBatch, asked: Examples) -> Adapted:
    """From outputs (steps + 1, queries, targets)."""
    truths = [_text(target) if asked.labelled else None for target in batch.query_y[0].tolist()]
    rows = [Prediction(s, _text(p), t) for s, p, t in zip(asked.sources, outputs[-1].tolist(), truths, strict=True)]
    errors = ((outputs - batch.query_y[0]) ** 2).mean(dim=(1, 2)).tolist() if asked.labelled else []
    return Adapted(tuple(rows), tuple(errors))


def _made(exported: Exported, folder: Path) -> tuple[Parts, nn.Module]:
    """What the recipe stands for, and the network. Raises DataError where they do not fit, as after an edit."""

    def make() -> tuple[Parts, nn.Module]:
        user_files.check_digests(exported.recipe.get("files", {}))
        parts = build(configs.from_json(exported.recipe.get("config")))
        if parts.measurer.tasks.shape != exported.shape:
            raise DataError(f"the recipe's tasks are {parts.measurer.tasks.shape}, the network's {exported.shape}")
        return parts, parts.measurer.network(exported.architecture, seed=0)

    made, error = attempt(make)
    if error is not None:
        why = str(error) if isinstance(error, NasError) else reason(error)
        raise DataError(f"{folder / 'architecture.json'} cannot be used: {why}; export the network again") from error
    parts, network = made
    return parts, network


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(n):.4g}" for n in numbers)
