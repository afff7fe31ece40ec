"""Exports of a stranger: nothing in them, and nothing that they name, is executed, unpickled or waited for."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.predictors import adaptable
from PIL import Image

import nas
from nas.adapt import adapt
from nas.errors import DataError, NasError

CANARY = "canary"
CODE = f"from pathlib import Path\nPath({CANARY!r}).touch()\n"
SPACE = (
    CODE
    + """
class Evil:
    name = "evil"
    shape = None

    def decide(self, choose):
        return choose("width", [4])

    def build(self, spec, task):
        raise RuntimeError
"""
)


class Gadget:
    """An object whose unpickling leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (CODE,)


@pytest.fixture(scope="module", name="exported")
def an_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adaptable(tmp_path_factory.mktemp("export") / "net", "anil")


@pytest.fixture(name="net")
def a_copy(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an export, without the sums that a stranger would write anew, in the working directory."""
    shutil.copytree(exported, tmp_path / "net")
    (tmp_path / "net" / "SHA256SUMS").unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "net"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def nothing_ran() -> bool:
    return not Path(CANARY).exists()


def test_the_canary_is_seen_where_something_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Gadget()))
    assert not nothing_ran()


def test_the_program_and_the_source_in_an_export_are_not_loaded(net):
    for name in ("model.py", "adapt.py", "preprocessing.py", "__init__.py", "torch.py"):
        (net / name).write_text(CODE)
    (net / "model.pt2").write_bytes(pickle.dumps(Gadget()))
    (net / "model.onnx").write_bytes(pickle.dumps(Gadget()))
    images(net.parent / "images")
    adapt(net, net.parent / "images")
    assert nothing_ran()


@pytest.mark.parametrize("learner", ["protonet", "meta-sgd"])
def test_a_pickle_in_place_of_any_file_is_refused(tmp_path, monkeypatch, learner):
    monkeypatch.chdir(tmp_path)
    net = adaptable(tmp_path / "net", learner)
    predictor = nas.load(net).fit(torch.rand(4, 1, 28, 28), ["a", "a", "b", "b"])
    predictor.save(tmp_path / "saved")
    (tmp_path / "saved" / "SHA256SUMS").unlink()
    read = [p.name for p in (tmp_path / "saved").iterdir() if p.suffix in (".json", ".safetensors")]
    assert {"predictor.json", "predictor.safetensors", "weights.safetensors", "network.json"} <= set(read)
    for name in read:
        path = tmp_path / "saved" / name
        content = path.read_bytes()
        path.write_bytes(pickle.dumps(Gadget()))
        with pytest.raises(DataError, match=name):
            nas.load(tmp_path / "saved")
        torch.save(Gadget(), path)
        with pytest.raises(DataError, match=name):
            nas.load(tmp_path / "saved")
        path.write_bytes(content)
    nas.load(tmp_path / "saved")
    assert nothing_ran()


def with_code(net: Path, **names: str) -> None:
    """The export with components named as classes of evil.py, as one without network.json that needs them."""
    (net.parent / "evil.py").write_text(SPACE)
    recipe = json.loads((net / "architecture.json").read_text("utf-8"))["recipe"]
    recipe["files"] = {"evil.py": hashlib.sha256(SPACE.encode()).hexdigest()}
    for table, name in names.items():
        recipe["config"][table] = {"name": name}
    edit(net / "architecture.json", recipe=recipe)
    (net / "network.json").unlink()


@pytest.mark.parametrize("table", ["space", "tasks"])
@pytest.mark.parametrize("folder", ["", "./", "net/", "{here}/"])
def test_a_file_of_code_that_a_recipe_names_is_not_executed(net, table, folder):
    with_code(net, **{table: f"{folder.format(here=net.parent)}evil.py:Evil"})
    (net / "evil.py").write_text(SPACE)
    with pytest.raises(DataError, match=r"Code that an export names is not executed unasked.*--source evil\.py"):
        nas.load(net)
    assert nothing_ran()


def test_a_controller_of_a_users_file_is_not_needed_to_adapt(net):
    with_code(net, controller="evil.py:Evil")
    nas.load(net)
    assert nothing_ran()


def test_a_file_that_the_user_names_is_executed_where_it_is_the_one_of_the_export(net):
    with_code(net, space="evil.py:Evil")
    (net.parent / "evil.py").write_text(SPACE + "\n# changed")
    with pytest.raises(DataError, match=r"evil\.py has changed since the network was exported"):
        nas.load(net, [net.parent / "evil.py"])
    assert nothing_ran()
    (net.parent / "evil.py").write_text(SPACE)
    with pytest.raises(DataError, match="architecture"):
        nas.load(net, ["evil.py"])
    assert not nothing_ran()


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "architecture.json", "network.json", "adaptation.json", "preprocessing.json", "card.md"],
)
def test_pipes_devices_and_links_out_of_the_folder_are_refused(net, name):
    path = net / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    started = time.monotonic()
    with pytest.raises(DataError, match=f"{name} is (no regular file|missing)"):
        nas.load(net)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=f"{name} is a link that leads out of the folder"):
        nas.load(net)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 10**9}, "steps = 1000000000; it must be a whole number from 0 to 10,000"),
        ({"steps": -1}, "steps = -1"),
        ({"steps": "5"}, "steps = '5'"),
        ({"steps": True}, "steps = True"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"rate": 1e300}, "rate = 1e"),
        ({"method": "exec"}, "method is 'exec'; it must be one of gradient"),
        ({"head_only": 1}, "head_only is 1"),
        ({"head": "nothing"}, "head is 'nothing', which is no layer"),
        ({"head": ["a"]}, "head is"),
        ({"adapts": ["__class__"]}, "adapts is"),
        ({"input_shape": [1, 10**6, 10**6]}, "input_shape is"),
        ({"outputs": 10**9}, "outputs is 1000000000, and the network's is 3"),
        ({"task": "regression"}, "task is 'regression'"),
    ],
)
def test_a_rule_of_adaptation_that_is_out_of_bounds_is_refused(net, changes, message):
    edit(net / "adaptation.json", **changes)
    with pytest.raises(DataError) as caught:
        nas.load(net)
    assert "adaptation.json cannot be used: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("entry", ["method", "head", "head_only", "batch_statistics", "steps", "rate", "adapts"])
def test_a_rule_without_an_entry_is_refused(net, entry):
    content = json.loads((net / "adaptation.json").read_text("utf-8"))
    del content[entry]
    (net / "adaptation.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError, match=rf"adaptation\.json cannot be used: {entry} is missing"):
        nas.load(net)


def test_a_rule_whose_steps_change_nothing_is_refused(net):
    edit(net / "adaptation.json", head_only=False, adapts=[])
    with pytest.raises(DataError, match="adapts is empty"):
        nas.load(net)


IMAGES = {"kind": "image", "channels": 1, "height": 28, "width": 28, "fit": "stretch", "polarity": "keep"}
SERIES = {"kind": "series", "channels": 1, "length": 28}
ARRAY = {"kind": "array", "shape": [1, 28, 28], "mean": [0.5], "deviation": [0.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**IMAGES, "kind": 1.5}, "is no preprocessing"),
        ({**IMAGES, "kind": ["image"]}, "is no preprocessing"),
        ({**IMAGES, "channels": 2}, "channels is 2; it must be 1 or 3"),
        ({**IMAGES, "channels": True}, "channels is True"),
        ({**IMAGES, "height": 2**40}, "height is"),
        ({**IMAGES, "height": 28.0}, "height is 28.0"),
        ({**IMAGES, "fit": {}}, "fit is {}; it must be one of stretch, crop"),
        ({**IMAGES, "polarity": "none"}, "polarity is 'none'"),
        ({**IMAGES, "width": 14}, r"it makes inputs of shape \(1, 28, 14\), and the network takes \(1, 28, 28\)"),
        ({"kind": "image", "channels": 1}, "height"),
        ({name: value for name, value in IMAGES.items() if name != "fit"}, "fit is missing"),
        ({**SERIES, "scale": "1"}, "scale is '1'; it must be a number from 0"),
        ({**SERIES, "scale": float("nan")}, "scale is nan"),
        ({**ARRAY, "deviation": [0.0]}, "deviation is"),
        ({**ARRAY, "deviation": [10**400]}, "deviation is"),
        ({**ARRAY, "mean": 0.5}, "mean is 0.5; it must be a list"),
        ({**ARRAY, "mean": [0.5, 0.5]}, "mean and deviation have 2 and 1 numbers"),
        ({**ARRAY, "features": [1]}, "features and targets must be of texts"),
    ],
)
def test_preprocessing_that_could_not_be_carried_out_is_refused(net, content, message):
    (net / "preprocessing.json").write_text(json.dumps({"format": 1, **content}), "utf-8")
    with pytest.raises(DataError, match=rf"preprocessing\.json cannot be used: .*{message}"):
        nas.load(net)


@pytest.mark.parametrize("value", [{"ref": {}}, {"ref": []}, {"dtype": []}, {"dtype": {}}])
def test_a_reference_that_is_no_text_is_refused(net, value):
    called(net, lambda calls: calls[-1].update(args=[value]))
    with pytest.raises(DataError, match=r"network\.json"):
        nas.load(net)


def test_a_tie_to_no_text_is_refused(net):
    edit(net / "network.json", ties={"a": ["b"]})
    with pytest.raises(DataError, match="ties"):
        nas.load(net)


def test_inputs_too_large_to_make_are_refused(net):
    content = json.loads((net / "architecture.json").read_text("utf-8"))
    edit(net / "architecture.json", task={**content["task"], "input_shape": [1, 10**6, 10**6]})
    with pytest.raises(DataError, match="67,108,864 numbers are the most"):
        nas.load(net)


@pytest.mark.parametrize("steps", [10**9, -1, 1.5])
def test_a_recipe_whose_learner_takes_too_many_steps_is_refused(net, steps):
    recipe = json.loads((net / "architecture.json").read_text("utf-8"))["recipe"]
    recipe["config"]["evaluator"]["learner"] = {"name": "anil", "steps": steps}
    edit(net / "architecture.json", recipe=recipe)
    (net / "network.json").unlink()
    with pytest.raises(DataError, match="steps"):
        nas.load(net)


def called(net: Path, change: Any) -> None:
    """The export with the last call of the network changed."""
    content = json.loads((net / "network.json").read_text("utf-8"))
    change(content["calls"])
    edit(net / "network.json", calls=content["calls"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"op": "call_method", "target": "repeat", "args": [{"ref": "x"}, 10**6, 10**6]}, "cannot be run"),
        ({"op": "call_method", "target": "view", "args": [{"ref": "x"}, 10**9]}, "cannot be run"),
        ({"op": "call_function", "target": "torch.zeros", "args": [10**11]}, "100,000,000,000 numbers for 2 examples"),
        ({"op": "call_function", "target": "torch.arange", "args": [10**11]}, "100,000,000,000 numbers for 2 examples"),
        ({"op": "call_function", "target": "operator.pow", "args": [9, 10**9]}, "has the exponent 1000000000; 64 is"),
        ({"op": "call_function", "target": "operator.mul", "args": [[0], 10**9]}, "repeats a sequence more than 1,000"),
        ({"op": "call_function", "target": "operator.mod", "args": ["%999999999d", 1]}, "texts and whole numbers"),
        ({"op": "call_function", "target": "operator.add", "args": [10**30, 1]}, "beyond 64 bits are not taken"),
        ({"op": "call_method", "target": "__reduce__", "args": [{"ref": "x"}]}, "network.json"),
        ({"op": "call_function", "target": "os.system", "args": ["touch canary"]}, "network.json"),
        ({"op": "call_function", "target": "getattr", "args": [{"ref": "x"}, "__class__"]}, "network.json"),
    ],
)
def test_a_call_that_is_not_the_networks_is_refused(net, call, message):
    def change(calls: list[dict[str, Any]]) -> None:
        source = calls[-2]["id"]
        arguments = [{"ref": source} if value == {"ref": "x"} else value for value in call["args"]]
        calls.insert(len(calls) - 1, {"id": "added", **call, "args": arguments})

    called(net, change)
    with pytest.raises(DataError, match=message):
        nas.load(net)
    assert nothing_ran()


def images(folder: Path) -> Path:
    for number, name in enumerate(("a", "b")):
        (folder / name).mkdir(parents=True)
        for shade in range(2):
            Image.new("L", (28, 28), 100 * number + shade).save(folder / name / f"{shade}.png")
    return folder


def test_whatever_is_put_for_an_entry_the_error_is_the_projects_own(net):
    """Each entry of each JSON file, with values of every kind."""
    for file in sorted(net.glob("*.json")):
        whole = file.read_text("utf-8")
        for key in json.loads(whole):
            for value in (None, 10**30, -1, "x" * 10_000, [], {}, [[[]]], {"a": {}}, True):
                edit(file, **{key: value})
                with suppress(NasError):
                    nas.load(net)
                file.write_text(whole, "utf-8")
    assert nothing_ran()
