"""Adaptation of an exported network to a user's task: a few labelled examples in, predictions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import reading as configs
from ..config.parts import build
from ..errors import DataError, NasError
from ..failures import attempt, reason
from ..labels import UNKNOWN, one_spelling
from ..protocols.evaluators import Measurer
from ..protocols.learners import Learner
from ..protocols.tasks import Reader, TaskFamily
from ..registry import user_files
from ..task import TaskBatch
from .examples import Examples, class_names, classes_of, labelled_examples, read_images, read_numbers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..export.reading import Exported


@dataclass(frozen=True)
class Prediction:
    """Prediction for one query example.

    Attributes:
        source: The file that the example is from; in a file of several examples 'FILE:ROW'.
        predicted: A class name; for regression, numbers as text.
        truth: The same of its label; None where it has none.
    """

    source: str
    predicted: str
    truth: str | None


@dataclass(frozen=True)
class Adapted:
    """Result of an adaptation.

    Attributes:
        predictions: One for each query example.
        curve: Their accuracy in [0, 1] (regression: mean squared error) after 0, 1, …, k inner steps; empty where a
            label is missing.
    """

    predictions: tuple[Prediction, ...]
    curve: tuple[float, ...]


@dataclass(frozen=True)
class AdaptableNetwork:
    """An exported network with what adapts it.

    Attributes:
        exported: The content of the export folder.
        network: The network, with the exported weights.
        learner: The learner of the run that found it.
        tasks: The tasks of that run.
        parameters: The meta-learned parameters by name, those of the learner included.
    """

    exported: Exported
    network: nn.Module
    learner: Learner
    tasks: TaskFamily
    parameters: Mapping[str, Tensor]

    def adapt(self, support: Path | str, query: Path | str | None = None) -> Adapted:
        """Adapts the network to labelled examples, and predicts others. The network itself is not changed.

        Images: a folder with a sub-folder for each class, named as the class; a query folder may also hold images
        alone. Series: files as the tasks read them; in a query file a class may be '?'. Regression: CSV files of
        numbers, inputs first, targets last; a query file may leave the targets out.

        Args:
            support: The labelled examples.
            query: The examples to predict; None for the support examples themselves.

        Raises:
            DataError: A file or folder cannot be used; the message says which and why.
        """
        import torch

        support_set, query_set, names = self._examples(Path(support), Path(support if query is None else query))
        arrays = (support_set.x, support_set.y, query_set.x, query_set.y)
        batch = TaskBatch(*(torch.as_tensor(array)[None] for array in arrays))
        kind, steps = self.exported.shape.kind, self.learner.steps
        outputs = self.learner.adapt(self.network, self.parameters, batch, kind, steps)[:, 0].detach()
        if not torch.isfinite(outputs).all():
            raise DataError(
                f"adapting to {support} gave numbers that are not finite; are its values as large as in training?"
            )
        return _classified(outputs, batch, query_set, names) if names else _regressed(outputs, batch, query_set)

    def _examples(self, support: Path, query: Path) -> tuple[Examples, Examples, tuple[str, ...]]:
        """Support and query examples, and the names of the classes, which a regression has none of."""
        shape = self.exported.shape
        if shape.kind == "regression":
            return read_numbers(support, shape), read_numbers(query, shape, labelled=query == support), ()
        if not isinstance(self.tasks, Reader):
            names = classes_of(class_names(support), support, shape)
            return read_images(support, shape, names), read_images(query, shape, names), names
        (support_x, support_labels), (query_x, query_labels) = self.tasks.read(support), self.tasks.read(query)
        if UNKNOWN in support_labels:
            raise DataError(f"{support} has an example of class {UNKNOWN!r}, which is for queries; say what it is")
        support_labels, query_labels = one_spelling(support_labels, query_labels)
        names = classes_of(tuple(sorted(set(support_labels))), support, shape)
        return (
            labelled_examples(support_x, support_labels, support, names),
            labelled_examples(query_x, query_labels, query, names),
            names,
        )


def load(folder: Path | str) -> AdaptableNetwork:
    """Reads an exported network, ready to be adapted.

    Nothing in the folder is executed. Its recipe may name a search space in a Python file of the user's: that file is
    imported, if it is still the one of the export.

    Args:
        folder: What `nas export` wrote.

    Raises:
        DataError: Files of the folder are missing, damaged, or do not fit together.
    """
    from ..export import reading

    folder = Path(folder)
    exported = reading.load(folder)
    built = attempt(_build, exported)
    if built.error is not None:
        why = str(built.error) if isinstance(built.error, NasError) else reason(built.error)
        raise DataError(
            f"{folder / 'architecture.json'} cannot be used: {why}; export the network again"
        ) from built.error
    measurer, network = built.value
    parameters = reading.meta_learned(network, exported)
    return AdaptableNetwork(exported, network, measurer.learner, measurer.tasks, parameters)


def adapt(folder: Path | str, support: Path | str, query: Path | str | None = None) -> Adapted:
    """Adapts an exported network to the examples in `support` and predicts those in `query`.

    See `AdaptableNetwork.adapt` for the files, and `load` for the folder.

    Raises:
        DataError: A folder or file cannot be used; the message says which and why.
    """
    return load(folder).adapt(support, query)


def _build(exported: Exported) -> tuple[Measurer, nn.Module]:
    """The evaluator that the recipe describes, and the architecture's network."""
    user_files.check_digests(exported.recipe.get("files", {}))
    measurer = build(configs.from_json(exported.recipe.get("config"))).measurer
    if measurer.tasks.shape != exported.shape:
        raise DataError(f"the recipe's tasks are {measurer.tasks.shape}, the network's {exported.shape}")
    return measurer, measurer.network(exported.architecture, seed=0)


def _classified(outputs: Tensor, batch: TaskBatch, query_set: Examples, names: Sequence[str]) -> Adapted:
    """Predicted classes from outputs (steps + 1, queries, ways), of which the first `len(names)` are the classes'."""
    classes = outputs[:, :, : len(names)].argmax(dim=-1)
    labelled = query_set.labelled
    truths = [names[label] if labelled else None for label in batch.query_y[0].tolist()]
    rows = zip(query_set.sources, classes[-1].tolist(), truths, strict=True)
    curve = (classes == batch.query_y[0]).float().mean(dim=1).tolist() if labelled else []
    return Adapted(tuple(Prediction(source, names[label], truth) for source, label, truth in rows), tuple(curve))


def _regressed(outputs: Tensor, batch: TaskBatch, query_set: Examples) -> Adapted:
    """Predicted numbers from outputs (steps + 1, queries, targets)."""
    labelled = query_set.labelled
    truths = [_text(target) if labelled else None for target in batch.query_y[0].tolist()]
    rows = zip(query_set.sources, outputs[-1].tolist(), truths, strict=True)
    errors = ((outputs - batch.query_y[0]) ** 2).mean(dim=(1, 2)).tolist() if labelled else []
    return Adapted(tuple(Prediction(source, _text(target), truth) for source, target, truth in rows), tuple(errors))


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(n):.4g}" for n in numbers)
