"""`nas train-optimizer`: training, continuing, exporting, and configs that cannot be used."""

from __future__ import annotations

import json

import pytest
import torch
from helpers.cli import command_here  # noqa: F401  # fixture
from torch import nn

from nas import optimizers

CONFIG = """
[optimizer]
hidden = 4

[optimizee]
name = "quadratics"
dimension = 3

[training]
iterations = 4
steps = 4
unroll = 2
functions = 3
validate_every = 2
validation_functions = 5
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "toy.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_an_optimizer_is_trained_and_exported(config, call, tmp_path):
    done = call("train-optimizer", str(config))
    assert done.status == 0, done.err
    assert "4/4   best validation loss" in done.err
    layer = nn.Linear(2, 1)
    optimizer = optimizers.load(tmp_path / "runs" / "toy" / "export")(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    again = call("train-optimizer", str(config), "--json")
    document = json.loads(again.out)
    assert document["trained"]["iterations"] == 4
    assert document["trained"]["optimizee"] == {"name": "quadratics", "dimension": 3}


def test_other_settings_in_the_same_folder_are_refused(config, call, tmp_path):
    call("train-optimizer", str(config), "--out", str(tmp_path / "one"))
    done = call("train-optimizer", str(config), "--set", "training.seed=1", "--out", str(tmp_path / "two"))
    assert done.status == 2
    assert "holds a training with other settings; give another folder or name" in done.err
    assert not (tmp_path / "two").exists()


def test_a_damaged_checkpoint_is_refused(config, call, tmp_path):
    call("train-optimizer", str(config))
    (tmp_path / "runs" / "toy" / "checkpoint.safetensors").write_bytes(b"nothing")
    done = call("train-optimizer", str(config))
    assert done.status == 2
    assert "is damaged" in done.err
    assert "remove it, and the training starts again" in done.err


@pytest.mark.parametrize(
    "change, message",
    [
        ("training.itrations=3", "--set training.itrations: key 'training.itrations' is not known: did you mean"),
        ("training.rate=0", "key 'training.rate' is 0: Input should be greater than 0"),
        ("training.unroll=3", "--set training.unroll: [training] unroll = 3 does not divide steps = 4"),
        ("optimizer.hidden=0", "key 'optimizer.hidden' is 0"),
        ("optimizee.name=quadratic", "optimizee 'quadratic' is not known: did you mean 'quadratics'?"),
        ("optimizee.dimensions=3", "has no option 'dimensions'; did you mean 'dimension'?"),
        ("training.device=tpu", "Input should be 'auto', 'cpu', 'cuda' or 'cuda:N'"),
    ],
)
def test_keys_that_cannot_be_used_are_named(config, call, change, message):
    done = call("train-optimizer", str(config), "--set", change)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_training_goes_on_from_another_optimizer(config, call, tmp_path):
    """No weights are better on the same validation functions after a step of nearly zero size, so these stay."""
    first = call("train-optimizer", str(config), "--out", str(tmp_path / "first"))
    assert first.status == 0
    words = ["--name", "second", "--out", str(tmp_path / "second"), "--json"]
    words += ["--set", f"training.initial={tmp_path / 'first'}", "--set", "training.rate=1e-30"]
    second = call("train-optimizer", str(config), *words)
    assert "initial" in json.loads(second.out)["trained"]
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "change, message",
    [
        ("optimizer.hidden=5", "give the table optimizer the values of the initial one"),
        ("training.initial=none", "none is no folder of a learned optimizer"),
    ],
)
def test_an_initial_optimizer_that_does_not_fit_is_refused(config, call, tmp_path, change, message):
    call("train-optimizer", str(config), "--out", str(tmp_path / "first"))
    words = ["--name", "second", "--set", f"training.initial={tmp_path / 'first'}", "--set", change]
    done = call("train-optimizer", str(config), *words)
    assert done.status == 2
    assert message in done.err
