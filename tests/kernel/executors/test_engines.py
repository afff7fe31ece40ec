"""Engines by name: `search.engine` chooses where candidates are evaluated; what cannot be used is said at its key."""

from __future__ import annotations

import pytest
from helpers.launch import own_runs, result, toy  # noqa: F401  # fixtures

from nas.config import from_json
from nas.config.parts import build, engine_of
from nas.config.schema import KeyFault
from nas.executors import InlineExecutor, ProcessExecutor
from nas.executors.engines import SlotRequest, trees_of
from nas.protocols import CandidateExecutor
from nas.registry import components
from nas.runs import folder, launch
from nas.runs.progress import Silence

ENGINES = [("auto", ProcessExecutor), ("processes", ProcessExecutor), ("inline", InlineExecutor)]


def engine(config):
    return engine_of(config, build(config).evaluator, SlotRequest(2, "cpu"))


@pytest.mark.parametrize(
    ("name", "cls"), [("auto", ProcessExecutor), ("processes", ProcessExecutor), ("inline", InlineExecutor)]
)
def test_an_engine_by_its_name(name, cls):
    executor = engine(toy(search={"engine": name}))
    assert isinstance(executor, cls)
    assert isinstance(executor, CandidateExecutor)
    assert executor.workers == (1 if cls is InlineExecutor else 2)
    executor.shutdown()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("proceses", "engine 'proceses' is not known: did you mean 'processes'"),
        ({"name": "ray", "adress": "auto"}, "engine 'ray' has no option 'adress'; did you mean 'address'"),
        ({"name": "ray", "cpus": "2"}, "engine 'ray' option 'cpus' is '2': Input should be a valid number"),
        ({"name": "nni", "port": 80}, "engine 'nni' port = 80; it must be a whole number from 1024 to 65,535"),
        ({"name": "inline", "port": 80}, "engine 'inline' has no option 'port'"),
    ],
)
def test_an_engine_that_cannot_be_used_is_said_at_its_key(table, message):
    with pytest.raises(KeyFault) as caught:
        engine(toy(search={"engine": table}))
    assert message in str(caught.value)
    assert caught.value.path[:2] == ("search", "engine")


def test_a_config_without_an_engine_is_as_it_was():
    assert "engine" not in toy().to_json()["search"]
    config = toy(search={"engine": {"name": "ray", "address": "auto"}})
    assert from_json(config.to_json()) == config


def test_a_run_inline_is_that_of_worker_processes():
    runs = []
    for name in ("inline", "processes"):
        run = folder.new_run(name, "toy")
        launch.start(toy(search={"engine": name}), run, Silence())
        runs.append(result(run))
    assert runs[0] == runs[1]


def test_every_engine_has_a_line_and_options_that_can_be_read():
    for name in components.names("engine"):
        made = components.find("engine", name)
        assert made.__doc__
        assert next(iter(components.options_of(made))) == "slot_request"


def test_the_user_s_code_is_one_tree_and_each_data_path_another(tmp_path):
    for file in ("data/a.csv", "code/mine.py", "code/parts/sizes.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    code = (tmp_path / "code/mine.py", tmp_path / "code/parts/sizes.py")
    trees = trees_of(SlotRequest(data=(tmp_path / "data/a.csv", tmp_path / "data"), code=code))
    assert [tree.root for tree in trees] == [tmp_path / "data/a.csv", tmp_path / "data", tmp_path / "code"]
    assert trees[2].files == code
    assert trees_of(SlotRequest()) == ()
