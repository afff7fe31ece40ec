"""Compatibility with runs and exports of version 0.1.0: they are shown, continued, reported, loaded and adapted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from behaviour_inputs import draw_examples
from helpers.cli import command_here  # noqa: F401  # the fixture `call`

from nas import config as configs
from nas.export import load, restore
from nas.store import Store

FORMAT = Path(__file__).parents[1] / "data" / "first_format"
COMPLETE = [
    (0, "4b0942a38a0013a0", "done", 4, 0.4166666781529784),
    (1, "06f3efc7ba95ee7b", "done", 4, 0.5000000102445483),
    (2, "d9a27bb7a1a7d94c", "done", 4, 0.4722222276031971),
    (3, "e891cc0844389a59", "done", 4, 0.4027777872979641),
]
UNFINISHED = [
    (0, "4b0942a38a0013a0", "done", 20, 0.4583333432674408),
    (1, "9bc5c6cf35af41e6", "done", 20, 0.47222223691642284),
    (2, "9bc5c6cf35af41e6", "done", 40, 0.45833334513008595),
    (3, "d9a27bb7a1a7d94c", "done", 20, 0.5138888973742723),
    (4, "d9a27bb7a1a7d94c", "done", 40, 0.5277777891606092),
]


@pytest.fixture(autouse=True, name="here")
def copied(tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work on, which is also the folder of runs; `call` comes first, for it forgets NAS_RUNS."""
    here = tmp_path / "runs"
    shutil.copytree(FORMAT, here)
    monkeypatch.setenv("NAS_RUNS", str(here))
    return here


def shown(call: Any, name: str) -> dict[str, Any]:
    said = call("show", name, "--json")
    assert said.status == 0, said.err
    return dict(json.loads(said.out))


def numbers(trials: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(t["number"], t["key"], t["state"], t["budget"], t["score"]["value"]) for t in trials]


def stored(place: Path) -> list[dict[str, Any]]:
    with Store.open(place / "trials.sqlite", readonly=True) as store:
        return [trial.to_json() for trial in store.trials()]


def test_a_finished_run_is_shown(call: Any) -> None:
    found = shown(call, "complete")
    final = found["final"]
    assert found["state"] == "done"
    assert found["best"] == 1
    assert numbers(found["trials"]) == COMPLETE
    assert numbers(found["control"]["trials"]) == COMPLETE  # of so few, all are random
    assert [finalist["number"] for finalist in final["finalists"]] == [1, 2]
    assert [finalist["value"] for finalist in final["finalists"]] == [0.5138889001682401, 0.4930555741302669]
    assert final["winner"]["key"] == "06f3efc7ba95ee7b"
    assert final["winner"]["value"] == final["control"]["value"] == 0.4444444552063942
    assert final["baseline"]["value"] == 0.45833334419876337
    assert final["difference"]["value"] == -0.013888888992369175


def test_a_finished_run_is_told_in_text_and_stays_as_it_is(call: Any, here: Path) -> None:
    said = call("show", "complete")
    assert said.status == 0
    assert "winner #1                   44.4 %           28.0 – 62.2          883     0.28" in said.out
    before = stored(here / "complete")
    assert call("resume", "complete").status == 0
    assert stored(here / "complete") == before


def test_an_unfinished_run_goes_on_and_keeps_what_was_acknowledged(call: Any, here: Path) -> None:
    found = shown(call, "unfinished")
    assert (found["state"], found["final"]) == ("interrupted", None)
    assert numbers(found["trials"]) == UNFINISHED
    before = stored(here / "unfinished")
    said = call("resume", "unfinished")
    assert said.status == 0, said.err
    now = shown(call, "unfinished")
    assert stored(here / "unfinished")[: len(before)] == before
    assert sum(trial["budget"] == 20 for trial in now["trials"]) == 6
    assert all(trial["state"] == "done" for trial in now["trials"])
    assert now["state"] == "done"
    assert now["final"]["winner"]["number"] in {trial["number"] for trial in now["trials"]}
    assert not (here / "unfinished" / "checkpoints").exists()


@pytest.mark.parametrize("name", ["complete", "unfinished"])
def test_a_report_is_written(call: Any, here: Path, name: str) -> None:
    said = call("report", name)
    assert said.status == 0, said.err
    assert "<html" in (here / name / "report.html").read_text("utf-8")


def test_a_winner_is_exported_as_before(call: Any, here: Path, tmp_path: Path) -> None:
    said = call("export", "complete", "--out", str(tmp_path / "again"))
    assert said.status == 0, said.err
    before, now = (
        json.loads((place / "architecture.json").read_text("utf-8")) for place in (here / "net", tmp_path / "again")
    )
    for key in ("format", "architecture", "key", "task", "recipe", "model"):
        assert now[key] == before[key], key
    assert (tmp_path / "again" / "cell.dot").read_bytes() == (here / "net" / "cell.dot").read_bytes()
    # Tensors have other names in the file now, and the same paths in the network.
    exported = load(here / "net")
    network = configs.build(configs.from_json(exported.recipe["config"])).evaluator.network(exported.architecture, 0)  # type: ignore[attr-defined]
    old, new = (restore(network, place / "weights.safetensors") for place in (here / "net", tmp_path / "again"))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[path], new[path]) for path in old)


def test_an_export_adapts_to_examples(call: Any, here: Path, tmp_path: Path) -> None:
    draw_examples(tmp_path / "support")
    said = call(
        "adapt",
        str(here / "net"),
        "--support",
        str(tmp_path / "support"),
        "--query",
        str(tmp_path / "support"),
        "--json",
    )
    assert said.status == 0, said.err
    found = json.loads(said.out)
    expected = json.loads((here / "outputs.json").read_text("utf-8"))
    assert [row["predicted"] for row in found["predictions"]] == expected["predicted"]
    assert found["curve"] == pytest.approx(expected["curve"], abs=1e-5)


def network_outputs(folder: Path) -> list[list[float]]:
    """Outputs of an exported network with the weights as exported, for an image of evenly rising shades."""
    exported = load(folder)
    evaluator = configs.build(configs.from_json(exported.recipe["config"])).evaluator
    network = evaluator.network(exported.architecture, seed=99)  # type: ignore[attr-defined]
    image = torch.linspace(0, 1, 28 * 28).reshape(1, 1, 28, 28)
    outputs = torch.func.functional_call(network, restore(network, exported.weights), (image,))
    return [[float(value) for value in row] for row in outputs]


def test_an_export_is_loaded_with_the_outputs_that_it_had(here: Path) -> None:
    expected = json.loads((here / "outputs.json").read_text("utf-8"))["outputs"]
    for found, row in zip(network_outputs(here / "net"), expected, strict=True):
        assert found == pytest.approx(row, abs=1e-5)
