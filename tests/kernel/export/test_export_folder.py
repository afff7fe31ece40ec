"""Export folders: they appear complete, are read back equal, and every damage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.errors import ConfigError, DataError, NasError
from nas.export import Extras, export, load, meta_learned, restore
from nas.protocols import LEARNER
from nas.task import TaskShape

ARCHITECTURE = Architecture("tiny", {"depth": 1, "0.op": 2})
SHAPE = TaskShape((1, 8, 8), 5)
RECIPE = {"learner": "anil", "inner": {"steps": 5, "rate": 0.4}, "score": {"value": 0.9, "interval": [0.88, 0.92]}}


class Tiny(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width, track_running_stats=False), nn.ReLU())
        self.never = nn.Linear(2, 2)
        self.temperature = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(width, 5)
        self.twin = nn.Linear(5, 5)
        self.again = nn.Linear(5, 5)
        self.again.weight = self.twin.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.again(self.twin(self.head(self.body(x).mean((2, 3))))) * self.temperature
        return out


def graph() -> nx.DiGraph:
    cell = nx.DiGraph()
    nx.add_path(cell, ["in", "mid", "out"])
    nx.set_node_attributes(cell, {"in": "input", "mid": "conv 3×3", "out": "output"}, "op")
    return cell


def exported(folder: Path, **changes: Any) -> list[Path]:
    arguments = {
        "network": Tiny(),
        "architecture": ARCHITECTURE,
        "extras": Extras(graph()),
        "shape": SHAPE,
        "recipe": RECIPE,
    }
    return export(folder, **{**arguments, **changes})


def test_folder_holds_every_file_and_reads_back(tmp_path: Path) -> None:
    network = Tiny()
    paths = exported(tmp_path / "a" / "net", network=network)
    pictures = ["cell.dot", "cell.png", "cell.svg"]
    names = ["SHA256SUMS", "architecture.json", *pictures, "model.py", "network.json", "weights.safetensors"]
    assert paths == [tmp_path / "a" / "net" / name for name in names]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["net"]
    assert len({path.stat().st_mode for path in paths}) == 1  # what one may read, one may read whole
    read = load(tmp_path / "a" / "net")
    assert (read.architecture, read.shape, dict(read.recipe)) == (ARCHITECTURE, SHAPE, RECIPE)
    restored = restore(network, read.weights)
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("never")}
    assert restored.keys() == expected.keys()
    assert all(torch.equal(restored[name], tensor) for name, tensor in expected.items())
    torch.manual_seed(0)
    other = Tiny()
    other.load_state_dict(restored, strict=False)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(other(x), network(x))


def test_source_says_what_it_is_and_how_to_use_it(tmp_path: Path) -> None:
    recipe = {**RECIPE, "note": 'a """quoted""" \\ note', "long": list(range(1000))}
    exported(tmp_path / "net", recipe=recipe)
    text = (tmp_path / "net" / "model.py").read_text()
    docstring = text.split('"""')[1]
    words = [ARCHITECTURE.key, "tiny", "(batch, 1, 8, 8)", "5 class scores", "load_file('weights.safetensors')"]
    for word in [*words, "cross-entropy", "learner: anil", "inner.rate: 0.4", "score.interval: [0.88, 0.92]"]:
        assert word in docstring
    assert "998" not in text
    assert max(map(len, text.split("\n"))) <= 120
    compile(text, "model.py", "exec")


def test_without_a_graph_there_is_no_picture(tmp_path: Path) -> None:
    names = [path.name for path in exported(tmp_path / "net", extras=Extras())]
    assert names == ["SHA256SUMS", "architecture.json", "model.py", "network.json", "weights.safetensors"]


def test_picture_leaves_out_what_is_dead_unless_all_is(tmp_path: Path) -> None:
    cell = graph()
    cell.add_node("dead", op="pool")
    cell.add_edge("in", "dead")
    exported(tmp_path / "net", extras=Extras(cell))
    assert "pool" not in (tmp_path / "net" / "cell.dot").read_text()
    cell.nodes["mid"]["op"] = "none"
    exported(tmp_path / "cut", extras=Extras(cell))
    assert "pool" in (tmp_path / "cut" / "cell.dot").read_text()


def test_an_existing_folder_is_used_only_when_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    exported(tmp_path / "empty")
    before = {path: path.read_bytes() for path in (tmp_path / "empty").iterdir()}
    with pytest.raises(ConfigError, match="not an empty folder"):
        exported(tmp_path / "empty", recipe={})
    assert {path: path.read_bytes() for path in (tmp_path / "empty").iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        exported(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be written"):
        exported(tmp_path / "file" / "net")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"recipe": {"learner": object()}}, ConfigError),
        ({"recipe": {"score": float("nan")}}, ConfigError),
        ({"shape": TaskShape((3, 8, 8), 5)}, NasError),
        ({"extras": Extras(nx.DiGraph([(0, 1), (1, 0)]))}, NasError),
    ],
)
def test_a_failed_export_leaves_nothing(tmp_path: Path, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        exported(tmp_path / "net", **changes)
    assert list(tmp_path.iterdir()) == []


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    for name in ("architecture.json", "weights.safetensors"):
        exported(tmp_path / name)
        (tmp_path / name / name).write_bytes(b"\xff\xffnot this")
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            load(tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(DataError, match=f"{name} is missing"):
            load(tmp_path / name)
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        restore(Tiny(), tmp_path / "nowhere")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": 99}, "not of format 1"),
        ({"architecture": {"space": "tiny", "picks": {"depth": -1}}}, "'depth' is -1"),
        ({"architecture": {"space": "other", "picks": {}}}, "key '[0-9a-f]+' is not the architecture's"),
        ({"task": {"input_shape": [1, "8"], "num_outputs": 5, "kind": "classification"}}, "'task' must hold"),
        ({"task": {"input_shape": [8], "num_outputs": 5, "kind": "sorting"}}, "'task' must hold"),
        ({"task": None}, "'task' must hold"),
        ({"recipe": []}, "'recipe' must be an object"),
        ({"weights": None}, "'weights' must map"),
    ],
)
def test_edited_descriptions_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    exported(tmp_path / "net")
    edited(tmp_path / "net" / "architecture.json", **changes)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "net")


def test_exchanged_weights_are_refused(tmp_path: Path) -> None:
    exported(tmp_path / "net")
    path = tmp_path / "net" / "weights.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    bias = "body_conv3x3.bias"
    variants = [
        ({**tensors, "extra": torch.ones(1)}, "unknown tensor 'extra'", "'extra', which the network does not have"),
        ({**tensors, bias: torch.ones(7)}, rf"'{bias}' has shape \[7\], not \[4\]", r"of shape \(7,\)"),
        ({**tensors, "head.bias": torch.ones(5).double()}, None, "float64"),
        ({name: tensor for name, tensor in tensors.items() if name != "temperature"}, "lacks .*'temperature'", None),
    ]
    for content, when_loaded, when_restored in variants:
        save_file(content, path, metadata)
        if when_loaded:
            with pytest.raises(DataError, match=when_loaded):
                load(tmp_path / "net")
        if when_restored:
            with pytest.raises(DataError, match=when_restored):
                restore(Tiny(), path)
    save_file(tensors, path, metadata)
    with pytest.raises(DataError, match="are they of one architecture"):
        restore(Tiny(width=6), path)


def test_reading_never_executes_the_source(tmp_path: Path) -> None:
    exported(tmp_path / "net")
    (tmp_path / "net" / "model.py").write_text("raise SystemExit('executed')")
    restore(Tiny(), load(tmp_path / "net").weights)


def test_two_tensors_that_a_reader_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    network = Tiny()
    for outer, inner in [("side", "x_y"), ("side_x", "y")]:  # never called, and so not in the source
        network.add_module(outer, nn.Sequential())
        network.get_submodule(outer).add_module(inner, nn.Linear(1, 1))
    with pytest.raises(NasError, match=r"'side\.x_y\.weight' and 'side_x\.y\.weight' would both be called"):
        exported(tmp_path / "net", network=network)


# --- what the learner meta-learned besides ---------------------------------------------------------------------------


def learning(network: nn.Module) -> nn.Module:
    """The network with parameters of a learner; two of them are called alike as attributes."""
    for number, name in enumerate(["rate", "body/0/weight", "body_0/weight"]):
        network.register_parameter(LEARNER + name, nn.Parameter(torch.full((number,), 0.5 + number)))
    return network


def test_what_a_learner_has_of_its_own_is_exported_beside_the_network(tmp_path: Path) -> None:
    exported(tmp_path / "plain", network=Tiny())
    paths = exported(tmp_path / "net", network=learning(Tiny()))
    assert "learner.safetensors" in [path.name for path in paths]
    plain, net = ((tmp_path / name / "model.py").read_text().partition("class Network")[2] for name in ("plain", "net"))
    assert plain == net
    assert load(tmp_path / "plain").learner is None
    read, network = load(tmp_path / "net"), learning(Tiny())
    for p in network.parameters():
        p.data.zero_()
    parameters = meta_learned(network, read)
    extra = {name: tensor for name, tensor in parameters.items() if name.startswith(LEARNER)}
    assert {name.removeprefix(LEARNER): tensor.tolist() for name, tensor in extra.items()} == {
        "rate": [],
        "body/0/weight": [1.5],
        "body_0/weight": [2.5, 2.5],
    }
    assert all(
        torch.equal(tensor, load_file(tmp_path / "net" / "learner.safetensors")[name.removeprefix(LEARNER)])
        for name, tensor in extra.items()
    )


def test_what_is_not_learned_goes_into_the_network_and_not_to_the_learner(tmp_path: Path) -> None:
    network = Tiny()
    network.register_buffer("scale", torch.tensor(3.0))
    network.head.weight.requires_grad_(False)
    exported(tmp_path / "net", network=network)
    other = Tiny()
    other.head.weight.requires_grad_(False)
    parameters = meta_learned(other, load(tmp_path / "net"))
    learned = {name for name, p in network.named_parameters() if p.requires_grad}
    assert parameters.keys() == learned
    assert all(torch.equal(parameters[name], network.get_parameter(name)) for name in learned if "never" not in name)
    assert torch.equal(other.head.weight, network.head.weight)
    assert not any(tensor.requires_grad for tensor in parameters.values())


def test_a_damaged_file_of_the_learner_is_named(tmp_path: Path) -> None:
    exported(tmp_path / "net", network=learning(Tiny()))
    path = tmp_path / "net" / "learner.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "rate": torch.ones(3)}, path)
    with pytest.raises(DataError, match=r"learner.safetensors: 'rate' has shape \[3\], not \[0\]"):
        load(tmp_path / "net")
    save_file({"rate": tensors["rate"]}, path)
    with pytest.raises(DataError, match=r"learner.safetensors lacks the tensor"):
        load(tmp_path / "net")
    path.unlink()
    with pytest.raises(DataError, match=r"learner.safetensors does not exist; export the network again"):
        load(tmp_path / "net")
    edited(tmp_path / "net" / "architecture.json", learner=[])
    with pytest.raises(DataError, match="'learner' must map"):
        load(tmp_path / "net")
