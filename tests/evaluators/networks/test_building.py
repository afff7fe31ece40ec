"""Network of a candidate: built from a seed, measured, written to a file and read again."""

import errno
import json
import math
import resource

import pytest
import torch
from helpers.evaluators import WIDE, Blobs, TinyConv, only, weights_of
from torch import nn

from nas import registry
from nas.errors import DataError, SpaceError
from nas.evaluators.learners import Anil, Maml
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation, NormalisedHead
from nas.evaluators.networks.profile import size
from nas.evaluators.networks.weights import read_weights, write_weights
from nas.search_spaces import Conv4, Mlp40
from nas.task import TaskShape

SHAPE = Blobs().shape
LABEL = {"architecture": "abc", "seed": "1"}


def built(space, shape=SHAPE, *, norm="group", head_norm=True, learner=None, seed=0):
    return build(space, only(space), shape, Normalisation(norm, head_norm), learner=learner or Maml(), seed=seed)


class Makes:
    """Space of one network, which a function makes for the task."""

    name = "makes"

    def __init__(self, make):
        self.make = make

    def decide(self, choose):
        return choose("only", [0])

    def build(self, spec, task):
        return self.make(task)


def test_weights_come_from_the_seed_alone():
    one, same, other = (weights_of(built(TinyConv(), seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_building_leaves_the_global_generator_as_it_is():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        built(TinyConv())
        assert torch.equal(torch.rand(2), expected)


def test_options_reach_the_network():
    kinds = {norm: {type(m) for m in built(TinyConv(), norm=norm).modules()} for norm in ("group", "batch", "none")}
    assert [norm for norm, actual in kinds.items() if nn.GroupNorm in actual] == ["group"]
    assert [norm for norm, actual in kinds.items() if nn.BatchNorm2d in actual] == ["batch"]
    with_head, without = (
        {type(m) for m in built(TinyConv(), head_norm=head_norm).modules()} for head_norm in (True, False)
    )
    assert with_head - without == {nn.LayerNorm, NormalisedHead}


# --- what is refused -------------------------------------------------------------------------------------------------


def test_outputs_of_another_size_are_refused():
    space = Makes(lambda task: nn.Sequential(nn.Flatten(), nn.Linear(16, 7)))
    with pytest.raises(SpaceError, match=r"gives \(2, 7\) for 2 inputs of \(1, 4, 4\); this task needs \(2, 3\)"):
        built(space)


def test_what_is_no_network_is_refused():
    with pytest.raises(SpaceError, match=r"build of space 'makes' gave a NoneType; it must give a torch\.nn\.Module"):
        built(Makes(lambda task: None))


def test_a_network_for_other_inputs_is_refused():
    space = Makes(lambda task: nn.Sequential(nn.Flatten(), nn.Linear(5, 3)))
    with pytest.raises(SpaceError, match=r"space 'makes' does not take this task's inputs \(1, 4, 4\): .*\w"):
        built(space)


def test_a_network_without_anything_to_learn_is_refused():
    with pytest.raises(SpaceError, match="no parameters to learn"):
        built(Makes(lambda task: nn.Flatten()))
    frozen = Makes(lambda task: nn.Sequential(nn.Flatten(), nn.Linear(16, 3).requires_grad_(False)))
    with pytest.raises(SpaceError, match="no parameters to learn"):
        built(frozen)


def test_a_network_that_draws_at_random_is_refused():
    """Its scores would not be the same twice."""
    space = Makes(lambda task: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)))
    with pytest.raises(SpaceError, match=r"two outputs for one input.*dropout"):
        built(space)


def test_what_the_learner_refuses_is_refused():
    space = Makes(lambda task: nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()))
    built(space, learner=Maml())
    with pytest.raises(SpaceError, match="linear head"):
        built(space, learner=Anil())


# --- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "none", "batch"])
@pytest.mark.parametrize("side", [28, 16, 5])
def test_the_size_of_conv4_is_the_closed_form(norm, side):
    """FLOPs of convolutions and matrix products, two for a multiply-add."""
    shape = TaskShape((3, side, side), 5)
    flops, channels, extent = 0, 3, side
    for _ in range(4):
        extent = math.ceil(extent / 2)
        flops += 2 * extent**2 * channels * 6 * 9
        channels = 6
    sizes = size(built(Conv4(6), shape, norm=norm), shape)
    assert sizes == {
        "parameters": 3 * 6 * 9 + 3 * 6 * 6 * 9 + 4 * 2 * 6 + 6 * 5 + 5,
        "flops": flops + 2 * 6 * 5,
    }


def test_the_size_of_mamls_sinusoid_network_is_the_closed_form():
    shape = TaskShape((1,), 1, "regression")
    sizes = size(built(Mlp40(), shape), shape)
    assert sizes == {"parameters": 80 + 1640 + 41, "flops": 2 * (40 + 1600 + 40)}


def test_parameters_that_are_not_learned_do_not_count():
    network = built(TinyConv())
    before = size(network, SHAPE)["parameters"]
    network[0].weight.requires_grad_(False)
    assert size(network, SHAPE)["parameters"] == before - network[0].weight.numel()


@pytest.mark.parametrize("name", sorted(set(registry.names("space")) - {"mlp", "mlp40", "recurrent-cell"}))
def test_every_space_of_images_has_a_size_in_every_mode(name):
    space, shape = registry.create("space", name, {}), TaskShape((1, 8, 8), 3)
    sizes = [size(built(space, shape, norm=norm), shape) for norm in ("group", "batch", "none")]
    assert sizes[0] == sizes[1] == sizes[2]
    assert min(sizes[0].values()) > 0


# --- weights in a file -----------------------------------------------------------------------------------------------


def test_weights_come_back_from_a_file(tmp_path):
    path = tmp_path / "new" / "weights.safetensors"
    network, other = built(TinyConv(), seed=1), built(TinyConv(), seed=2)
    network.to(memory_format=torch.channels_last)
    write_weights(network, path, LABEL)
    read_weights(other, path, LABEL)
    expected = weights_of(network)
    assert all(torch.equal(w, expected[name]) for name, w in weights_of(other).items())
    assert [p.name for p in path.parent.iterdir()] == ["weights.safetensors"]


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "weights"
    network = built(TinyConv())
    write_weights(network, path, LABEL)
    before = weights_of(network)
    with pytest.raises(DataError, match=r"holds weights of .*'seed': '1'.*not of .*'seed': '2'.*delete it"):
        read_weights(network, path, {**LABEL, "seed": "2"})
    wide = build(TinyConv(), WIDE, SHAPE, Normalisation(), learner=Maml(), seed=0)
    with pytest.raises(DataError, match="holds other weights than this network has"):
        read_weights(wide, path, LABEL)
    with pytest.raises(DataError, match="holds other weights than this network has"):
        read_weights(nn.Sequential(network), path, LABEL)
    assert all(torch.equal(w, before[name]) for name, w in weights_of(network).items())


DAMAGE = {
    "cut short": lambda content: content[:-9],
    "cut to its header": lambda content: content[:20],
    "empty": lambda content: b"",
    "something else": lambda content: b"PK\x03\x04" + content,
    "a header that is too long": lambda content: b"\xff" * 8 + content[8:],
    "no label": lambda content: content.replace(b"__metadata__", b"__metadatb__"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "weights"
    network = built(TinyConv())
    write_weights(network, path, LABEL)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="delete it to train again"):
        read_weights(network, path, LABEL)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="none does not exist"):
        read_weights(built(TinyConv()), tmp_path / "none", LABEL)


def test_a_file_names_what_it_holds(tmp_path):
    """The header of the format is a length and then JSON, according to the documentation of safetensors."""
    path = tmp_path / "weights"
    write_weights(built(TinyConv()), path, LABEL)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"] == LABEL
    assert set(header) - {"__metadata__"} == set(weights_of(built(TinyConv())))


def test_weights_that_cannot_be_written_are_an_error_of_the_system_and_leave_no_file(tmp_path):
    network, path = built(TinyConv()), tmp_path / "weights.safetensors"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            write_weights(network, path, LABEL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
