"""Commands of stage two: `nas adapt` and `nas predict`."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..adapt.adaptation import Adapted, AdaptedPredictor, Prediction, Quality
    from ..adapt.comparison import Contender
    from ..adapt.unknowns import Calibration

app = typer.Typer()
"""Its commands become commands of `nas`."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Table = Annotated[
    Path | None, typer.Option("--predictions", metavar="FILE.csv", help="Write predictions with probabilities as CSV.")
]
Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--source",
        metavar="FILE.py",
        help="Python file of yours that may be executed, where the export needs a class of it; repeatable.",
    ),
]


@app.command()
def adapt(
    folder: Annotated[Path, typer.Argument(help="A folder that `nas export` wrote.")],
    support: Annotated[
        Path,
        typer.Option(
            help="Labelled examples: a folder with one sub-folder for each class, a CSV file, or a file of series."
        ),
    ],
    query: Annotated[
        Path | None,
        typer.Option(help="Examples to predict; by default those of --support, each left out of the adaptation."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to save the adapted predictor in.")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Save the adapted network as ONNX too, in --out.")] = False,
    predictions: Table = None,
    reject: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="Answer 'unknown' below a score that at most this fraction of unknown examples reach."
        ),
    ] = None,
    unknowns: Annotated[
        Path | None, typer.Option(help="Examples of none of the classes, for --reject; by default held-out classes.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Put training from scratch, pre-training and nearest neighbour beside it.")
    ] = False,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Adapt an exported network to a few examples of yours, and predict others."""
    from ..adapt.adaptation import adapt_to, decided
    from ..adapt.comparison import compare as compared
    from ..adapt.predictor import load, save
    from ..adapt.unknowns import calibrate_on

    _check_options(reject, unknowns, out, predictions)
    if onnx and out is None:
        raise ConfigError("--onnx is for --out; give a folder for the predictor too")
    adapted = adapt_to(load(folder, source or ()), support, query)
    _check_classes(adapted, reject, compare)
    calibration = None if reject is None else calibrate_on(adapted, unknowns)
    contenders = compared(adapted) if compare else ()
    if calibration is not None and reject is not None:
        adapted = decided(adapted, calibration.at(reject).threshold)
    _say_notes(adapted.result.notes)
    if out is not None:
        save(adapted.predictor, out, onnx=onnx)
    if predictions is not None:
        _write_table(predictions, adapted.result.classes, adapted.result.predictions)
    elif adapted.result.predictions and adapted.result.quality is None and not as_json:
        predictions = _free(Path("predictions.csv"))
        _write_table(predictions, adapted.result.classes, adapted.result.predictions)
    if as_json:
        _print_json({**asdict(adapted.result), **_extras(calibration, reject, contenders)})
        return
    _print_result(adapted.result, predictions)
    if calibration is not None and reject is not None:
        typer.echo(_reject_text(calibration, reject))
    if contenders:
        typer.echo(_comparison_text(contenders))
    if out is not None:
        typer.echo(f"{out} holds the adapted predictor. Next: nas predict {out} FILES")


@app.command()
def predict(
    predictor: Annotated[Path, typer.Argument(help="A folder that `nas adapt --out` wrote.")],
    files: Annotated[list[Path], typer.Argument(help="Images, folders of images, or files of series or of numbers.")],
    predictions: Table = None,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Predict the classes of files with a predictor that `nas adapt --out` saved.

    Files that cannot be read are named on standard error, the others are predicted, and the exit status is then 1.
    """
    from ..adapt.prediction import predict as predict_files
    from ..adapt.predictor import load

    _check_options(None, None, None, predictions)
    loaded = load(predictor, source or ())
    result = predict_files(loaded, files)
    _say_notes(result.notes)
    if predictions is not None:
        _write_table(predictions, result.classes, result.predictions)
    if as_json:
        _print_json(asdict(result))
    else:
        for row in result.predictions:
            typer.echo(_row_text(row))
    _say_notes(result.failed)
    if result.failed:
        raise typer.Exit(1)


def _check_options(reject: float | None, unknowns: Path | None, out: Path | None, predictions: Path | None) -> None:
    from ..export.writing import check_target

    if reject is not None and not 0 <= reject < 1:
        raise ConfigError(f"--reject {reject}: give the fraction of unknown examples that may be accepted, from 0 to 1")
    if unknowns is not None and reject is None:
        raise ConfigError("--unknowns is for --reject; give --reject 0.1 too")
    if out is not None:
        check_target(out)
    if predictions is not None and predictions.exists():
        raise ConfigError(f"{predictions} exists; choose another file, or remove it")
    if predictions is not None and not predictions.absolute().parent.is_dir():
        raise ConfigError(f"{predictions} cannot be written: there is no folder {predictions.parent}; make it first")


def _check_classes(adapted: AdaptedPredictor, reject: float | None, compare: bool) -> None:
    from ..export.standalone.adapt import UNKNOWN

    classes, query = adapted.support.classes, adapted.query
    if not classes and (compare or reject is not None):
        raise ConfigError(f"{'--compare' if compare else '--reject'} is for classes; this network predicts numbers")
    if reject is not None and UNKNOWN in classes:
        raise ConfigError(f"a class is named {UNKNOWN!r}, which --reject answers for none of them; rename its folder")
    if compare and query is not None and not query.labelled:
        raise ConfigError(
            "--compare needs to know the classes of the queries; leave --query out to compare by leave-one-out"
        )


def _say_notes(notes: Sequence[str]) -> None:
    for note in notes:
        sys.stderr.write(f"nas: {note}\n")


def _print_result(result: Adapted, table: Path | None) -> None:
    for row in result.predictions:
        typer.echo(_row_text(row))
    if result.curve:
        typer.echo("after 0, 1, … inner steps: " + "  ".join(f"{value:.3f}" for value in result.curve))
    if result.quality is not None:
        typer.echo(_quality_text(result.quality))
    if table is not None:
        typer.echo(f"{table} holds the predictions with {'probabilities' if result.classes else 'all numbers'}.")


def _free(path: Path) -> Path:
    """The path, with the first number from 2 that no file has where it is taken."""
    paths = itertools.chain([path], (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2)))
    return next(each for each in paths if not each.exists())


def _row_text(row: Prediction) -> str:
    sure = f" ({100 * max(row.probabilities):.0f} %)" if row.probabilities else ""
    truth = "" if row.truth is None else f"   (labelled {row.truth})"
    return f"{row.source}: {row.predicted}{sure}{truth}"


def _quality_text(quality: Quality) -> str:
    how = "leave-one-out on the support set" if quality.leave_one_out else "queries"
    if quality.measure == "accuracy":
        low, high = quality.interval or (0.0, 1.0)
        value = f"{100 * quality.value:.1f} % (95 % interval {100 * low:.1f} – {100 * high:.1f})"
    else:
        ends = (
            ""
            if quality.interval is None
            else f" (95 % interval {quality.interval[0]:.4g} – {quality.interval[1]:.4g})"
        )
        value = f"{quality.value:.4g}{ends}"
    return f"{quality.measure}: {value}, {quality.examples} examples, {how}"


def _reject_text(calibration: Calibration, rate: float) -> str:
    from ..adapt.unknowns import RATES

    lines = ["unknowns: threshold   accepted   accuracy of accepted   false accepts"]
    for each in sorted({*RATES, rate}):
        at = calibration.at(each)
        accuracy = "–" if at.accuracy is None else f"{100 * at.accuracy:.1f} %"
        mark = "   ← --reject" if each == rate else ""
        lines.append(
            f"          {at.threshold:9.3f}   {100 * at.accepted:6.1f} %   {accuracy:>20}   "
            f"{100 * at.false_accepts:10.1f} %{mark}"
        )
    lines.append(f"{len(calibration.known)} known and {len(calibration.unknown)} unknown examples.")
    return "\n".join(lines)


def _comparison_text(contenders: Sequence[Contender]) -> str:
    width = max(len(each.name) for each in contenders)
    lines = []
    for each in contenders:
        if each.accuracy is None or each.interval is None or each.better is None:
            lines.append(f"{each.name:<{width}}   {each.note}")
            continue
        low, high = each.interval
        ours, theirs = each.better
        paired = ""
        if each is not contenders[0] and each.difference is not None:
            least, most = each.difference
            paired = (
                f"   only the adapted network right: {ours}, only this one: {theirs}; "
                f"difference {100 * least:+.1f} – {100 * most:+.1f}"
            )
        note = f" ({each.note})" if each.note else ""
        lines.append(
            f"{each.name:<{width}}   {100 * each.accuracy:5.1f} % ({100 * low:.1f} – {100 * high:.1f}){paired}{note}"
        )
    return "\n".join(lines)


def _extras(calibration: Calibration | None, rate: float | None, contenders: Sequence[Contender]) -> dict[str, Any]:
    from ..adapt.unknowns import RATES

    extras: dict[str, Any] = {}
    if calibration is not None and rate is not None:
        extras["reject"] = {"rate": rate, **asdict(calibration.at(rate))}
        extras["unknowns"] = [{"rate": rate, **asdict(calibration.at(rate))} for rate in RATES]
    if contenders:
        extras["comparison"] = [asdict(each) for each in contenders]
    return extras


def _write_table(path: Path, classes: Sequence[str], rows: Sequence[Prediction]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    values = len(rows[0].values) if rows else 0
    columns = classes or [f"value{i}" if values > 1 else "value" for i in range(values)]
    writer.writerow(["file", "predicted", "truth", *columns])
    for row in rows:
        writer.writerow(
            [row.source, row.predicted, row.truth or "", *(f"{n:.6g}" for n in row.probabilities or row.values)]
        )
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex[:12]}")
    try:
        # File names need not be Unicode; their bytes are kept.
        part.write_bytes(file.getvalue().encode("utf-8", errors="surrogateescape"))
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another file") from error
    finally:
        part.unlink(missing_ok=True)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, allow_nan=False))
