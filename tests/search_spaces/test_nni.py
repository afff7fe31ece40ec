"""NNI's model spaces: the hub's and people's own, searched as they stand, against what NNI itself makes of a sample."""

from __future__ import annotations

import inspect
import json
import logging
import pickle
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.launch import Quiet

from nas import registry
from nas.architecture import Architecture
from nas.config import build, from_json
from nas.errors import ConfigError, SpaceError
from nas.evaluators.networks import building
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.tasks import Glyphs
from nas.export import source as exported
from nas.runs import folder, launch
from nas.runs.exporting import export_network
from nas.search_spaces import NniSpace
from nas.search_spaces.nni import space as nni_space
from nas.search_spaces.nni.space import HUB, SAMPLE_FILE, as_space
from nas.space import count, enumerate_all, replay, sample
from nas.store import Store
from nas.task import TaskShape
from nas.testing import check_space

if find_spec("nni") is None:
    pytest.skip("NNI is not installed; pip install 'adaptnas[nni]'", allow_module_level=True)

nni_hub = nni_space.nni_hub()  # imports NNI, without its warnings

import nni  # noqa: E402
from nni.mutable import CategoricalMultiple, ExpressionConstraint, Numerical  # noqa: E402
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableLinear, Repeat  # noqa: E402
from nni.nas.space import model_context  # noqa: E402
from torch import nn  # noqa: E402

IMAGES = TaskShape((1, 28, 28), 5)
COLOURED = TaskShape((3, 32, 32), 7)


@pytest.fixture(scope="module")
def spaces() -> dict[str, NniSpace]:
    """All of the hub, made once: what a space has read of its modules it keeps."""
    return {name: registry.create("space", f"nni:{name}", {}) for name in HUB}


class Recorded(dict[str, Any]):
    """A sample that remembers what was looked up in it."""

    def __init__(self, values: Any) -> None:
        super().__init__(values)
        self.seen: set[str] = set()

    def __getitem__(self, label: str) -> Any:
        self.seen.add(label)
        return super().__getitem__(label)


def made_by_nni(space: NniSpace, values: Any, **options: Any) -> nn.Module:
    cls = getattr(nni_hub, space.model) if isinstance(space.model, str) else space.model
    with model_context(values):
        return cls(**{**space.options, **options})


def shapes(network: nn.Module) -> dict[str, Any]:
    return {name.removeprefix("network."): tensor.shape for name, tensor in network.state_dict().items()}


# --- the hub ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HUB)
def test_it_keeps_the_laws_of_spaces(spaces, name):
    check_space(spaces[name], samples=8)


@pytest.mark.parametrize("name", sorted(set(HUB) - {"NasBench101"}))
def test_what_is_asked_is_what_nni_looks_at(spaces, name):
    """No label without an effect, none forgotten: NNI's own check of a sample reads exactly these."""
    whole = getattr(nni_hub, name)(**spaces[name].options)
    rng = random.Random(3)
    for _ in range(3):
        values = Recorded(replay(spaces[name], sample(spaces[name], rng)))
        assert whole.check_contains(values) is None
        assert values.seen == set(values)


def test_a_nas_bench_101_cell_asks_only_for_its_vertices(spaces):
    """NNI's check reads more than the cell that it makes. From these labels alone it makes the network."""
    space, rng, sizes = spaces["NasBench101"], random.Random(4), set()
    for _ in range(30):
        values = replay(space, sample(space, rng))
        made_by_nni(space, values)
        sizes.add((values["cell/num_nodes"], len(values)))
    assert sizes <= {(n, 1 + (n - 2) + (n - 1)) for n in range(2, 8)}  # operations inside, inputs of all but the first
    assert len(sizes) > 3


def test_the_published_number_of_nas_bench_201_cells(spaces):
    size = count(spaces["NasBench201"])
    assert (size.value, size.exact) == (15_625, True)


@pytest.mark.parametrize("name", HUB)
def test_networks_are_those_of_nni(spaces, name):
    """All weights have the names and shapes of those of NNI's network, and it computes the same from them."""
    space, rng, x = spaces[name], random.Random(5), torch.rand(2, 3, 32, 32)
    takes = inspect.signature(getattr(nni_hub, name)._init_wrapped).parameters
    given = {key: size for key, size in {"num_labels": 7, "in_channels": 3, "img_size": 32}.items() if key in takes}
    for _ in range(8 if name == "NasBench101" else 1):
        spec = replay(space, sample(space, rng))
        network, theirs = space.build(spec, COLOURED), made_by_nni(space, space.sample(spec), **given)
        if "num_labels" not in takes:
            assert theirs.classifier.out_features == 10
            theirs.classifier = nn.Linear(theirs.classifier.in_features, 7)
        theirs.load_state_dict(network.state_dict())
        torch.testing.assert_close(network.eval()(x), theirs.eval()(x))
        assert network(x).shape == (2, 7)


@pytest.mark.parametrize("name", HUB)
def test_every_learner_takes_them(spaces, name):
    """The strictest one: second derivatives of many networks at once. Its network gives the same beside any other."""
    space = spaces[name]
    learner = registry.create("learner", "maml", {})
    architecture = sample(space, random.Random(6))
    network = building.build(space, architecture, IMAGES, Normalisation(), learner=learner, seed=0)
    registry.create("learner", "anil", {}).check(network, torch.rand(2, 1, 28, 28))
    assert "class Network" in exported(network, input_shape=IMAGES.input_shape).text


def test_weights_without_an_effect_are_not_learned(spaces):
    """NNI's cells of NAS-Bench-101 have a projection of the input for each vertex, used or not."""
    space = spaces["NasBench101"]
    for seed in range(5):
        network = space.build(replay(space, sample(space, random.Random(seed))), IMAGES)
        network(torch.rand(4, 1, 28, 28)).sum().backward()
        for p in network.parameters():
            assert p.requires_grad == (p.grad is not None)


# --- one's own -------------------------------------------------------------------------------------------------------


class Nested(ModelSpace):
    """42 architectures: 1 + 2 ways of the first layer, 2 + 4 + 8 of the blocks."""

    def __init__(self, width: int = 4, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        inner = LayerChoice([nn.Conv2d(width, width, 3, padding=1), nn.AvgPool2d(1)], label="inner")
        deep = nn.Sequential(inner, nn.ReLU(inplace=True))
        self.first = LayerChoice({"plain": nn.Identity(), "deep": deep}, label="outer")
        self.blocks = Repeat(
            lambda i: LayerChoice([nn.Conv2d(width, width, 1), nn.Tanh()], label=f"block{i}"), (1, 3), label="depth"
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(width, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.first(self.stem(x))).mean((2, 3)))


class Bounded(ModelSpace):
    """Of nine pairs of widths the three whose sum is at most 24; with one or two of three inputs, 9 in all."""

    def __init__(self) -> None:
        super().__init__()
        first, second = nni.choice("first", [8, 16, 32]), nni.choice("second", [8, 16, 32])
        self.add_mutable(ExpressionConstraint(first + second <= 24, label="bound"))
        self.hidden = MutableLinear(784, first)
        self.more = MutableLinear(first, second)
        self.join = InputChoice(3, 2, label="join")
        self.head = MutableLinear(second, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.more(self.hidden(x.flatten(1)))
        return self.head(self.join([hidden, hidden.tanh(), hidden.sigmoid()]))


class Ranged(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.add_mutable(Numerical(0.0, 1.0, label="rate"))


class Broken(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        raise ValueError("out of order")


def test_conditional_choices_stay_conditional():
    space = NniSpace(Nested)
    check_space(space, task=IMAGES)
    specs = [replay(space, architecture) for architecture in enumerate_all(space)]
    assert len(specs) == 42
    for spec in specs:
        assert ("inner" in spec) == (spec["outer"] == "deep")
        assert {label for label in spec if label.startswith("block")} == {f"block{i}" for i in range(spec["depth"])}
    assert {spec["inner"] for spec in specs if "inner" in spec} == {0, 1}


def test_the_network_computes_what_nnis_frozen_one_does():
    space, rng = NniSpace(Nested, {"width": 6}), random.Random(7)
    x = torch.rand(2, 1, 28, 28)
    for _ in range(5):
        spec = replay(space, sample(space, rng))
        network = space.build(spec, IMAGES)
        frozen = Nested(width=6, num_classes=5).freeze(space.sample(spec)).eval()
        frozen.load_state_dict({name.removeprefix("network."): t for name, t in network.state_dict().items()})
        torch.testing.assert_close(network(x), frozen(x.expand(-1, 3, -1, -1)))


def test_what_a_constraint_forbids_is_rejected():
    space = NniSpace(Bounded)
    check_space(space, task=IMAGES)
    specs = [replay(space, architecture) for architecture in enumerate_all(space)]
    assert len(specs) == 3 * 3
    assert {(spec["first"], spec["second"]) for spec in specs} == {(8, 8), (8, 16), (16, 8)}
    assert {tuple(spec["join"]) for spec in specs} == {(0, 1), (0, 2), (1, 2)}


def test_a_sample_that_json_cannot_hold_is_left_out():
    """Read again, (1, 2) is [1, 2], which NNI does not find among the values."""

    class Odd(ModelSpace):
        def __init__(self, value: Any) -> None:
            super().__init__()
            self.add_mutable(nni.choice("odd", [value]))

    files = [NniSpace(Odd, {"value": value}).files({"odd": value}) for value in ((1, 2), nn.ReLU, 3)]
    assert files == [{}, {}, {SAMPLE_FILE: '{\n  "odd": 3\n}\n'}]


def test_values_of_numpy_are_plain_in_the_spec_and_in_the_sample():
    class Stepped(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.add_mutable(nni.choice("width", list(np.arange(4, 13, 4))))
            self.add_mutable(CategoricalMultiple(list(np.arange(3)), n_chosen=2, label="several"))

    space = NniSpace(Stepped, {})
    for architecture in enumerate_all(space):
        spec = replay(space, architecture)
        assert [type(spec["width"]), *map(type, spec["several"])] == [int] * 3
        assert json.loads(space.files(spec)[SAMPLE_FILE]) == spec
    assert json.dumps(space.sample({})) == '{"width": 4, "several": [0, 1]}'


def test_classes_and_instances_stand_for_spaces():
    """With the options that the class has, whatever NNI puts in place of its constructor."""
    options = registry.options_of(as_space(Nested))
    assert options == {"width": int, "num_classes": int}
    assert as_space(Nested)(width=8) == NniSpace(Nested, {"width": 8})
    assert as_space(Nested(8)) == NniSpace(Nested, {"width": 8})
    assert as_space(Nested()).name == "Nested"
    for other in (3, NniSpace, nn.Linear, NniSpace(Nested)):
        assert as_space(other) is other


def test_a_space_travels_to_another_process(spaces):
    for space in (NniSpace(Nested, {"width": 8}), spaces["DARTS"]):
        architecture = sample(space, random.Random(8))
        copy = pickle.loads(pickle.dumps(space))
        assert copy == space
        assert "_choices" in vars(copy)  # read already: importing NNI there is no part of the first `decide`
        assert replay(copy, architecture) == replay(space, architecture)
    with pytest.raises(SpaceError, match="'Broken' cannot be made"):
        sample(pickle.loads(pickle.dumps(NniSpace(Broken))), random.Random(0))


# --- what cannot be searched -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("nni:DARTZ", {}, "'nni:DARTZ' is not known: did you mean 'DARTS'"),
        ("nni:", {}, "Known: AmoebaNet, AutoFormer, DARTS"),
        ("nni:DARTS", {"widht": 8}, "has no option 'widht'; did you mean 'width'"),
        ("nni:DARTS", {"auxiliary_loss": True}, "has no option 'auxiliary_loss'"),
        ("nni:DARTS", {"width": "wide"}, "option 'width' is 'wide'"),
    ],
)
def test_wrong_names_and_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        registry.create("space", name, options)


@pytest.mark.parametrize("package, found", [("filelock", "3.12.0"), ("filelock", "4.0"), ("setuptools", "82.0.1")])
def test_packages_that_nni_hangs_with_are_refused(monkeypatch, package, found):
    monkeypatch.setattr(nni_space, "version", {"filelock": "3.11.0", "setuptools": "81.0.0", package: found}.get)
    with pytest.raises(ConfigError, match=rf"{package} {found}; pip install 'adaptnas\[nni\]'"):
        registry.create("space", "nni:DARTS", {})


def test_without_nni_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nni", None)
    with pytest.raises(ConfigError, match=r"NNI cannot be imported .*; pip install 'adaptnas\[nni\]'"):
        registry.create("space", "nni:DARTS", {})


def test_spaces_that_cannot_be_read_are_refused():
    with pytest.raises(SpaceError, match=r"label 'rate' is a Numerical, .*use nni.choice"):
        sample(NniSpace(Ranged), random.Random(0))
    with pytest.raises(SpaceError, match=r"'Broken' cannot be made with {}: ValueError: out of order"):
        sample(NniSpace(Broken), random.Random(0))


def test_images_of_other_channels_are_refused():
    space = NniSpace(Nested)
    spec = replay(space, sample(space, random.Random(0)))
    with pytest.raises(SpaceError, match="Nested takes images of 3 channels, not of 2"):
        space.build(spec, TaskShape((2, 28, 28), 5))


def test_nni_prints_nothing():
    """Its log is for standard output, where `--json` prints one document and nothing else."""
    assert logging.getLogger("nni").handlers == []


# --- a whole search --------------------------------------------------------------------------------------------------


def test_a_search_from_its_config_to_the_sample_of_its_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a worker process, as `nas search` does it; the exported sample makes the winner's network in plain NNI."""
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(launch, "write_report", lambda *_: None)  # drawing the figures would take most of the time
    config = from_json(
        {
            "space": {"name": "nni:NasBench201", "stem_out_channels": 4},
            "controller": {"name": "evolution", "population": 2, "tournament": 2},
            "tasks": {"name": "glyphs", "ways": 3, "queries": 2},
            "evaluator": {"learner": "anil", "budget": 1, "tasks_per_step": 2, "validation_tasks": 4},
            "search": {"trials": 2, "workers": 1, "device": "cpu"},
            "final": {"top": 1, "seeds": 1, "validation_tasks": 4, "tasks": 4},
        }
    )
    run = folder.new_run("nni", "nni")
    assert launch.start(config, run, Quiet()).state == "done"
    with Store.open(run.store_path) as store:
        assert [trial.state for trial in store.trials()] == ["done"] * 2
        parts = build(config)
        export_network(run, store, parts, tmp_path / "winner")
        final = folder.final_of(store)
    assert final is not None
    assert final.winner is not None
    values = json.loads((tmp_path / "winner" / SAMPLE_FILE).read_text())
    theirs = made_by_nni(parts.space, values, num_labels=3)
    ours = parts.space.build(replay(parts.space, final.winner.architecture), parts.evaluator.tasks.shape)
    assert shapes(ours) == shapes(theirs)
    frozen = nni_hub.NasBench201(**{**parts.space.options, "num_labels": 3}).freeze(values)
    assert shapes(ours) == shapes(frozen)


MINE = """
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


class Mine(ModelSpace):
    def __init__(self, width: int = 8):
        super().__init__()
        self.conv = LayerChoice([nn.Conv2d(1, width, 3), nn.Conv2d(1, width, 5)], label="conv")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.pool(self.conv(x)).flatten(1))
"""


@pytest.mark.filterwarnings("ignore:.*is found to be not a nn.Module")
def test_a_persons_own_model_space_is_one_of_theirs_by_file_and_name(tmp_path):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    name = f"{tmp_path / 'mine.py'}:Mine"
    space = registry.create("space", name, {"width": 4})
    assert (space.name, space.model, [a.picks for a in enumerate_all(space)]) == (
        "Mine",
        name,
        [{"conv": 0}, {"conv": 1}],
    )
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    architecture = Architecture("Mine", {"conv": 1})
    assert again.build(replay(again, architecture), Glyphs().shape).conv.kernel_size == (5, 5)
    with pytest.raises(ConfigError, match=r"mine.py:Mine' has no option 'wide'; did you mean 'width'"):
        registry.create("space", name, {"wide": 4})
