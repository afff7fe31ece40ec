"""Commands that repeat a run: what they start has the very config of the run."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from helpers.launch import toy

from nas.config import Config, load, shipped
from nas.runs.reproduction import commands, nearest_shipped


def repeated(config: Config) -> Config:
    """The config that the command starts."""
    command, *_ = commands("mine", config)
    program, verb, source, option, name, *rest = shlex.split(command)
    assert (program, verb, option, name) == ("nas", "search", "--name", "mine-again")
    assert set(rest[::2]) <= {"--set"}
    return load(source, rest[1::2])


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["search.trials=7", "search.control=random"],
        ["search.fidelity={rungs=2,eta=4}", 'evaluator.learner={name="maml",steps=3}'],
        ["controller={name='random'}", "search.constraints.parameters=[10, 1e5]"],
        ["space={name='nas-bench-201'}", "tasks={name='glyphs',ways=2,shots=1,queries=3}"],
    ],
)
def test_the_command_starts_the_same_run(overrides: list[str]) -> None:
    config = load("quickstart", overrides)
    assert repeated(config) == config
    assert nearest_shipped(config) is not None


def test_a_shipped_experiment_needs_no_overrides() -> None:
    assert "sinusoid" in shipped()
    assert commands("a", load("sinusoid"))[0] == "nas search sinusoid --name a-again"


def test_of_any_config_the_nearest_experiment_is_taken() -> None:
    config = toy()
    source, changes = nearest_shipped(config) or ("", {})
    assert source == "sinusoid"
    assert repeated(config) == config
    assert "tasks" not in changes


def test_a_text_that_a_shell_would_read_stays_one_word() -> None:
    config = load("quickstart", ["space.widths=[8]"])
    data: dict[str, Any] = config.to_json()
    data["final"]["baseline"] = {"name": "conv4", "note": 'a\'b; $(x) "c"'}
    hostile = Config.model_validate(data)
    command, *_ = commands("mine", hostile)
    assert [word for word in shlex.split(command) if "$(x)" in word] == [
        'final.baseline={ "name" = "conv4", "note" = "a\'b; $(x) \\"c\\"" }'
    ]


def test_files_are_named_without_their_folders() -> None:
    data = load("quickstart").to_json()
    data["tasks"] = {"name": "omniglot", "path": "/home/somebody/omniglot.zip"}
    text = "\n".join(commands("mine", Config.model_validate(data)))
    assert "omniglot.zip" in text
    assert "somebody" not in text
