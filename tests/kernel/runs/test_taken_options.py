"""Options that architectures took, in JSON values, tables and exports: their values where the space is there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.launch import own_runs, toy  # noqa: F401  # fixture
from torch import nn

from nas.architecture import Architecture
from nas.config.schema import Config, SpaceTable
from nas.export.card import Card, card_text
from nas.runs import folder
from nas.runs.card import choice_rows
from nas.runs.summary import summary
from nas.runs.taken_options import readable_options
from nas.space import decide
from nas.trial import Score

PICKS = {"depth": 1, "width0": 1, "width1": 0, "activation": 0}
OPTIONS = {"depth": 2, "width0": 8, "width1": 4, "activation": "relu"}
SPACE = """
class Blocks:
    name = "blocks"

    def decide(self, choose):
        return choose("block", ["plain", "wide"]), choose("skip | join", [True, False])

    def build(self, spec, task):
        raise NotImplementedError
"""


def _run(config: Config, architecture: Architecture) -> folder.RunFolder:
    """A run with a scored trial and one that has not ended."""
    run = folder.new_run("a", "toy")
    with folder.create(run, config) as store:
        first, _ = store.propose([architecture] * 2, 2, 0)
        store.finish(replace(first, state="done", score=Score(0.5, 0.01), seconds=1.0))
    return run


@pytest.fixture(name="run")
def stored_run(call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, runs_here: Path) -> folder.RunFolder:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    return _run(toy(), Architecture("mlp", PICKS))


class Odd:
    """A space whose options JSON cannot hold."""

    name = "odd"

    def decide(self, choose: Any) -> Any:
        return (
            choose("layer", [nn.ReLU]),
            choose("pair", [(1, (2.5, None))]),
            choose("limit", [float("inf")]),
            choose("table", [{"a": nn.Tanh}]),
            choose("object", [nn.Identity()]),
        )

    def build(self, spec: Any, task: Any) -> nn.Module:
        raise NotImplementedError


def test_options_are_json_values_and_functions_and_classes_their_names() -> None:
    _, architecture = decide(Odd(), lambda _name, _options: 0)
    found = readable_options(Odd(), architecture)
    assert found == {
        "layer": "ReLU",
        "pair": [1, [2.5, None]],
        "limit": "inf",
        "table": {"a": "Tanh"},
        "object": "Identity()",
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_document_of_a_run_has_the_options_of_each_trial(run: folder.RunFolder) -> None:
    told = summary(run, with_options=True).to_json()
    assert [trial["options"] for trial in told["trials"]] == [OPTIONS, OPTIONS]
    assert [trial["architecture"]["picks"] for trial in told["trials"]] == [PICKS, PICKS]
    assert "options" not in summary(run).to_json()["trials"][0]


def test_show_lists_the_options_of_the_best(run: folder.RunFolder, call: Callable[..., Said]) -> None:
    said = call("show", "a")
    assert "Choices of the best so far, #0:\n  depth=2  width0=8  width1=4  activation=relu\n" in said.out
    row = next(csv.DictReader(io.StringIO(call("show", "a", "--csv").out)))
    assert {name.removeprefix("choice:"): row[name] for name in row if name.startswith("choice:")} == {
        name: str(option) for name, option in OPTIONS.items()
    }
    assert not any(name.startswith("index:") for name in row)


def test_a_space_that_has_changed_or_is_gone_leaves_indices_and_says_why(
    call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    file = tmp_path / "blocks.py"
    file.write_text(SPACE)
    config = toy().model_copy(update={"space": SpaceTable(name=f"{file}:Blocks")})
    _run(config, Architecture("blocks", {"block": 1, "skip | join": 0}))
    assert "  block=wide  skip | join=True\n" in call("show", "a").out
    file.write_text(SPACE.replace("wide", "broad"))
    said = call("show", "a")
    assert said.status == 0
    assert "Options are shown by their numbers, counted from 0: " in said.out
    assert "blocks.py has changed since this run was started: line 6 was" in said.out
    assert "  block=option 1  skip | join=option 0\n" in said.out
    file.unlink()
    assert "there is no file" in call("show", "a").out
    said = call("show", "a", "--csv")
    row = next(csv.DictReader(io.StringIO(said.out)))
    assert (row["index:block"], row["index:skip | join"]) == ("1", "0")
    assert said.err.count("\n") == 1
    assert json.loads(call("show", "a", "--json").out)["trials"][0]["options"] is None


def test_the_card_lists_choices_whose_bars_are_no_columns() -> None:
    rows = choice_rows({"skip | join": True, "layer": "a\nb", "width": 4})
    text = card_text(Card("t", [], "accuracy", [], "p", [], {"adaptnas": "1"}, choices=rows))
    assert (
        "## Choices\n\n| choice | option |\n|---|---|\n| skip \\| join | true |\n| layer | a b |\n| width | 4 |\n"
        in text
    )
    assert "## Choices" not in card_text(Card("t", [], "accuracy", [], "p", [], {"adaptnas": "1"}))
