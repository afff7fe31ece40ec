"""Adaptation of an exported network to a user's task: a few labelled examples in, predictions and their quality out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.intervals import proportion_interval
from ..errors import DataError
from ..export.standalone.adapt import UNKNOWN as UNKNOWN_CLASS
from ..export.standalone.adapt import Predictor
from ..labels import one_spelling
from .examples import Examples, check_known, read
from .leave_one_out import leave_one_out
from .predictor import load

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Prediction for one example.

    Attributes:
        source: The file that the example is from; in a file of several examples 'FILE:ROW'.
        predicted: A class name, or 'unknown'; for regression, numbers as text.
        truth: The same of its label; None where it has none.
        probabilities: Probability of each class, in the order of `Adapted.classes`; empty in regression.
        values: The predicted numbers of a regression; else empty.
        score: The largest logit, which `--reject` compares with its threshold; None in regression.
    """

    source: str
    predicted: str
    truth: str | None
    probabilities: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    score: float | None = None


@dataclass(frozen=True)
class Quality:
    """How good the predictions are where the truth is known.

    Attributes:
        measure: 'accuracy' or 'mean squared error'.
        value: Accuracy in [0, 1], or the error in squared units of the targets.
        interval: 95 % interval: Wilson's for an accuracy, Student's for a mean error; None with fewer than two.
        examples: Number of examples that it is the mean of.
        leave_one_out: Whether each example was predicted by a network adapted to the rest of the support set.
    """

    measure: str
    value: float
    interval: tuple[float, float] | None
    examples: int
    leave_one_out: bool


@dataclass(frozen=True)
class Adapted:
    """Result of an adaptation.

    Attributes:
        predictions: One for each query example; without queries, for each support example, by a network that was
            adapted to the others.
        curve: Accuracy of the queries in [0, 1] (regression: mean squared error) after 0, 1, …, k inner steps; empty
            where a label is missing.
        classes: The classes; empty in regression.
        quality: Their mean quality; None where labels are missing.
        notes: What was converted, left out or rebuilt, in words.
    """

    predictions: tuple[Prediction, ...]
    curve: tuple[float, ...]
    classes: tuple[str, ...] = ()
    quality: Quality | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Support:
    """A support set, ready for a network.

    Attributes:
        examples: The examples.
        classes: The classes, sorted; empty in regression.
        y: Class numbers (examples,), or scaled targets (examples, targets).
    """

    examples: Examples
    classes: tuple[str, ...]
    y: Tensor


@dataclass(frozen=True, eq=False)
class AdaptedPredictor:
    """An adapted predictor with the result of its adaptation."""

    predictor: Predictor
    support: Support
    result: Adapted
    query: Examples | None = field(default=None)


def adapt(
    folder: Path | str, support: Path | str, query: Path | str | None = None, sources: Sequence[Path | str] = ()
) -> Adapted:
    """Adapts an exported network to the examples in `support` and predicts those in `query`.

    Images: a folder with a sub-folder for each class, named as the class; a query folder may also hold images alone.
    Series and rows of numbers: files as the tasks of the run read them; in a query file a class may be '?', and targets
    may be left out.

    Args:
        folder: What `nas export` wrote.
        support: The labelled examples.
        query: The examples to predict; None for the support set itself, each example by a network that was adapted to
            the others.
        sources: Python files of yours that may be executed, as for `nas.load`.

    Raises:
        DataError: A folder or file cannot be used; the message says which and why.
    """
    return adapt_to(load(folder, sources), Path(support), None if query is None else Path(query)).result


def adapt_to(predictor: Predictor, support: Path, query: Path | None = None) -> AdaptedPredictor:
    """Adapts a network; the arguments are those of `adapt`, and the predictor is kept."""
    try:
        return _adapt_to(predictor, support, query)
    except ValueError as error:  # what adapt.py of an export raises
        raise DataError(f"{support} cannot be adapted to: {error}") from error


def decided(adapted: AdaptedPredictor, threshold: float) -> AdaptedPredictor:
    """The same with 'unknown' in place of predictions whose score is below a threshold."""
    predictor = adapted.predictor.with_threshold(threshold)
    rows = tuple(
        replace(row, predicted=UNKNOWN_CLASS) if row.score is not None and row.score < threshold else row
        for row in adapted.result.predictions
    )
    return replace(adapted, predictor=predictor, result=replace(adapted.result, predictions=rows))


def support_of(predictor: Predictor, path: Path, examples: Examples) -> Support:
    """A support set from its examples.

    Raises:
        DataError: It has fewer than two classes.
    """
    import torch

    if examples.targets is not None:
        return Support(examples, (), examples.targets)
    classes = tuple(sorted(set(examples.labels)))
    if len(classes) < 2:
        raise DataError(f"{path} holds 1 class, {classes[0]!r}; a network tells at least two apart")
    return Support(examples, classes, torch.tensor([classes.index(label) for label in examples.labels]))


def _adapt_to(predictor: Predictor, support_path: Path, query_path: Path | None) -> AdaptedPredictor:
    examples = read(predictor, [support_path], labelled=True)
    query = None if query_path is None else read(predictor, [query_path], labelled=False)
    if query is not None and query.labels:
        labels, query_labels = one_spelling(examples.labels, query.labels)
        examples, query = _labelled(examples, labels), _labelled(query, query_labels)
    support = support_of(predictor, support_path, examples)
    if query is not None and query_path is not None:
        check_known(query, support.classes, query_path)
    adapted = _fitted(predictor, support)
    notes = [*examples.notes, *_doubtful(support), *(() if query is None else query.notes)]
    if adapted.rebuilt and predictor.rule["method"] == "gradient":
        notes.append(
            f"{len(support.classes)} classes; the network was trained with {predictor.rule['outputs']}, so its head is "
            "rebuilt"
        )
    if query is None:
        outputs, kept = leave_one_out(predictor, examples.x, support.y)
        if not kept.all():
            what = "the only ones of their class" if support.classes else "the only ones"
            notes.append(
                f"{int((~kept).sum())} examples are {what} and cannot be left out; give --query to predict others"
            )
        places = kept.nonzero().flatten()
        shown, outputs = _part(examples, places), outputs[places]
        curve: tuple[float, ...] = ()
    else:
        shown, outputs = query, adapted.outputs(query.x)
        curve = _curve(predictor, support, query)
    predictions = predictions_of(adapted, support.classes, shown, outputs)
    quality = _quality(adapted, predictions, shown, outputs, left_out=query is None)
    result = Adapted(predictions, curve, support.classes, quality, tuple(dict.fromkeys(notes)))
    return AdaptedPredictor(adapted, support, result, query)


def _doubtful(support: Support) -> list[str]:
    """What is odd about a support set that can be used: equal inputs in two classes, classes of a single example."""
    if not support.classes:
        return []
    notes: list[str] = []
    first: dict[bytes, int] = {}
    for place, inputs in enumerate(support.examples.x):
        other = first.setdefault(inputs.numpy().tobytes(), place)
        if support.examples.labels[other] != support.examples.labels[place]:
            sources = support.examples.sources
            notes.append(f"{sources[other]} and {sources[place]} are the same input, in two classes")
    counts = Counter(support.examples.labels)
    single = [name for name in support.classes if counts[name] == 1]
    if single and len(single) < len(support.classes):
        notes.append(f"{len(single)} of {len(support.classes)} classes have one example, such as {single[0]!r}")
    return notes


def _fitted(predictor: Predictor, support: Support) -> Predictor:
    if support.classes:
        return predictor.fit_inputs(support.examples.x, support.classes, support.y)
    return predictor.fit_inputs(support.examples.x, (), support.y)


def _labelled(examples: Examples, labels: tuple[str, ...]) -> Examples:
    return Examples(examples.x, labels, examples.targets, examples.sources, examples.notes)


def _part(examples: Examples, places: Tensor) -> Examples:
    chosen = places.tolist()
    labels = tuple(examples.labels[i] for i in chosen) if examples.labels else ()
    targets = None if examples.targets is None else examples.targets[places]
    return Examples(examples.x[places], labels, targets, tuple(examples.sources[i] for i in chosen))


def predictions_of(
    predictor: Predictor, classes: tuple[str, ...], examples: Examples, outputs: Tensor
) -> tuple[Prediction, ...]:
    """The predictions that outputs (examples, classes or targets) mean; `classes` is empty in regression."""
    if not classes:
        values = predictor.unscaled(outputs).tolist()
        truths = [None] * len(values) if examples.targets is None else predictor.unscaled(examples.targets).tolist()
        numbers = zip(examples.sources, values, truths, strict=True)
        return tuple(
            Prediction(source, _text(value), None if truth is None else _text(truth), values=tuple(value))
            for source, value, truth in numbers
        )
    predicted = predictor.decided(classes, outputs)
    assert predicted.probabilities is not None
    assert predicted.scores is not None
    known = list(examples.labels) if examples.labelled else [None] * len(outputs)
    each = predicted.probabilities.tolist(), predicted.scores.tolist()
    rows = zip(examples.sources, predicted.labels, known, *each, strict=True)
    return tuple(
        Prediction(source, label, truth, tuple(probabilities), score=score)
        for source, label, truth, probabilities, score in rows
    )


def _curve(predictor: Predictor, support: Support, query: Examples) -> tuple[float, ...]:
    """Mean accuracy, or error, of the queries after each inner step."""
    import torch

    if not query.labelled:
        return ()
    ways = len(support.classes)
    represented = predictor.represented(query.x)
    curve = []
    for state in predictor.steps(support.examples.x, support.y, ways):
        with torch.no_grad():
            outputs = predictor.outputs_of(represented, state, ways)
        if ways:
            truths = torch.tensor([support.classes.index(label) for label in query.labels])
            curve.append(float((outputs.argmax(dim=1) == truths).float().mean()))
        else:
            assert query.targets is not None
            errors = predictor.unscaled(outputs) - predictor.unscaled(query.targets)
            curve.append(float(errors.square().mean()))
    return tuple(curve)


def _quality(
    predictor: Predictor, predictions: Sequence[Prediction], examples: Examples, outputs: Tensor, *, left_out: bool
) -> Quality | None:
    if not predictions or not examples.labelled:
        return None
    count = len(predictions)
    if examples.targets is None:
        right = sum(each.predicted == each.truth for each in predictions)
        return Quality("accuracy", right / count, proportion_interval(right, count), count, left_out)
    differences = predictor.unscaled(outputs) - predictor.unscaled(examples.targets)
    errors = differences.square().mean(dim=1).tolist()
    return Quality("mean squared error", sum(errors) / count, _mean_interval(errors), count, left_out)


def _mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    from statistics import fmean, stdev

    from ..analysis.intervals import t_quantile

    if len(values) < 2:
        return None
    half = t_quantile(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return max(0.0, fmean(values) - half), fmean(values) + half


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(n):.4g}" for n in numbers)
