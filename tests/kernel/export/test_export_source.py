"""Exported source: it computes the same as the network, in a process that cannot import this project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import NasError
from nas.export import flat_name, source

IMAGE = (3, 12, 12)


class Separable(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.point(self.depth(F.relu(x))))
        return out


class Cell(nn.Module):
    """Skip, sum, both pools, separable, dilated, a concatenation, a dead branch and a layer that is never called."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        dilated = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=2, dilation=2), nn.Identity())
        self.ops = nn.ModuleList([Separable(channels), dilated, nn.AvgPool2d(3, stride=1, padding=1)])
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.dead = nn.Conv2d(channels, channels, 1)
        self.unused = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.rand(channels, 1, 1))
        self.register_buffer("shift", torch.rand(channels, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.ops[0](x) + x
        self.dead(first)
        second = self.ops[1](first) * self.scale + self.ops[2](x) - 2 * self.shift
        return torch.cat([first, second, self.pool(second)], 1)


class CellNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding="same", bias=False), nn.GroupNorm(2, 6, eps=1e-3), nn.SiLU()
        )
        self.cells = nn.ModuleList([Cell(6), Cell(18)])
        self.head = nn.Linear(54, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = F.max_pool2d(cell(x), 2)
        x = F.dropout(x, 0.3, training=self.training)
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Conv4(nn.Module):
    def __init__(self, momentum: float | None = None) -> None:
        super().__init__()
        norm = {"momentum": momentum} if momentum else {"track_running_stats": False}
        layers: list[nn.Module] = []
        for i in range(3):
            conv = nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=(1, 1))
            layers += [nn.Sequential(conv, nn.BatchNorm2d(8, **norm), nn.ReLU(inplace=True), nn.MaxPool2d(2))]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(x).flatten(1))
        return out


class Shapes(nn.Module):
    """Functions and methods that spaces use, sizes among them, and in-place changes that matter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 1), stride=(2, 1), padding=(1, 0), padding_mode="circular")
        self.adaptive = nn.AdaptiveAvgPool2d((2, None))
        self.up = nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.conv(x), (1, 1, 1, 1), mode="reflect")
        x = F.interpolate(x, scale_factor=0.5) + F.adaptive_avg_pool2d(x, 1)
        y = torch.sigmoid(F.avg_pool2d(x, 2, ceil_mode=True)) ** -1
        rows = y.shape[2]
        y.mul_(2)
        y = y.permute(0, 2, 3, 1).reshape(y.size(0), -1, 4)[:, 1:rows, ::2]
        z = self.up(self.adaptive(x)).transpose(2, 3).contiguous().view(x.size(0), -1)
        return torch.cat((y.flatten(1), torch.clamp(z, min=-float("inf"), max=1.5)), dim=1)


class Tied(nn.Module):
    """One layer called twice, and two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(7, 7), nn.Linear(7, 7, bias=False), nn.LayerNorm(7)
        self.b.weight = self.a.weight
        self.free = nn.Conv1d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(self.b(self.a(F.gelu(self.a(x)))))
        x = F.conv1d(x.unsqueeze(1), self.free.weight, None)
        return x.squeeze(1) @ self.a.weight[:5, :5].T


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(10, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(self.embedding(x.long()))
        return self.gru(out)[0][:, -1]


def mlp() -> nn.Module:
    layers = [nn.Linear(7, 9), nn.Tanh(), nn.Dropout(0.2), nn.Linear(9, 9, bias=False), nn.BatchNorm1d(9), nn.PReLU()]
    tail = [nn.Unflatten(1, (3, 3)), nn.Flatten(), nn.LeakyReLU(0.2), nn.Softmax(dim=-1), nn.RMSNorm(9, eps=1e-4)]
    return nn.Sequential(*layers, *tail, nn.Linear(9, 1, dtype=torch.float32))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv4": (Conv4, IMAGE),
    "conv4-running": (lambda: Conv4(0.3), IMAGE),
    "cells": (CellNet, IMAGE),
    "shapes": (Shapes, IMAGE),
    "mlp": (mlp, (7,)),
    "tied": (Tied, (7,)),
    "sequence": (Sequence, (6,)),
}

READER = """
import importlib.util, json, sys
sys.modules["nas"] = None  # an import of it now raises
import torch
from safetensors.torch import load_file

results = {}
for folder in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("model", folder + "/model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.Network()
    network.load_state_dict(load_file(folder + "/weights.safetensors"), strict=True)
    data = load_file(folder + "/data.safetensors")
    network.eval()
    with torch.no_grad():
        same = torch.allclose(network(data["x"]), data["y"], rtol=1e-6, atol=1e-6)
    network.train()
    torch.manual_seed(0)
    trained = torch.allclose(network(data["x"]), data["y_train"], rtol=1e-5, atol=1e-5)
    parameters = sum(p.numel() for p in network.parameters())
    results[folder] = [same, trained, parameters]
print(json.dumps(results))
"""


def randomised(make: Callable[[], nn.Module]) -> nn.Module:
    """With every tensor random, running statistics too, so that no default can stand in for a stored value."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = make()
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():
                tensor.data.uniform_(0.1, 0.5)
    return network


def test_source_and_weights_give_the_same_outputs_without_this_project(tmp_path: Path) -> None:
    parameters = {}
    for name, (make, shape) in NETWORKS.items():
        network, folder = randomised(make), tmp_path / name
        folder.mkdir()
        written = source(network, input_shape=shape, about=["A test."])
        (folder / "model.py").write_text(written.text)
        tensors = dict([*network.named_parameters(remove_duplicate=False), *network.named_buffers()])
        save_file(
            {flat: tensors[path].clone() for flat, path in written.weights.items()}, folder / "weights.safetensors"
        )
        x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(2)) * 2.99
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            y = network.eval()(x)
            torch.manual_seed(0)
            y_train = network.train()(x)
        assert y.std() > 0
        save_file({"x": x, "y": y.contiguous(), "y_train": y_train.contiguous()}, folder / "data.safetensors")
        used = {id(tensors[path]): tensors[path].numel() for path in written.weights.values() if path in tensors}
        parameters[name] = sum(size for key, size in used.items() if key in set(map(id, network.parameters())))
    folders = [str(tmp_path / name) for name in NETWORKS]
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER, *folders], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    results = {Path(folder).name: result for folder, result in json.loads(done.stdout).items()}
    assert results == {name: [True, True, parameters[name]] for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
def test_source_is_formatted_and_imports_only_torch(name: str, tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    text = source(randomised(make), input_shape=shape, about=["A test."]).text
    imports = [line for line in text.split("\n") if line.startswith(("import ", "from "))]
    assert set(imports) <= {"import torch", "import torch.nn.functional as F", "from torch import nn"}
    path = tmp_path / "model.py"
    path.write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    checked = subprocess.run([*ruff, "format", "--check", "--isolated", "--line-length=120", path], capture_output=True)
    assert checked.returncode == 0, text
    linted = subprocess.run([*ruff, "check", "--isolated", "--line-length=120", path], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout


def test_what_is_not_used_is_neither_in_the_source_nor_in_the_weights() -> None:
    written = source(CellNet(), input_shape=IMAGE)
    for absent in ("dead", "unused"):
        assert absent not in written.text
        assert not any(absent in flat for flat in written.weights)
    assert written.weights["cells_0_0_depth.weight"] == "cells.0.ops.0.depth.weight"
    assert written.weights["cells_1_scale"] == "cells.1.scale"


def test_source_reads_well() -> None:
    text = source(Conv4(), input_shape=IMAGE).text
    assert "self.blocks_0_conv3x3 = nn.Conv2d(3, 8, 3, padding=1)\n" in text
    assert "self.blocks_0_norm = nn.BatchNorm2d(8, track_running_stats=False)\n" in text
    assert "self.blocks_0_max_pool = nn.MaxPool2d(2)\n" in text
    assert text.endswith("""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
""")
    assert "        # blocks.1\n" in text
    cells = source(CellNet(), input_shape=IMAGE).text
    assert "x_3 = F.max_pool2d(cells_1_4, 2)\n        x_3 = F.dropout(x_3, p=0.3, training=self.training)\n" in cells


def variables_of(text: str) -> list[tuple[str, str]]:
    """Each assignment in the forward of a source: the variable, and the expression without spaces."""
    lines = text[text.index("    def f") :].splitlines()
    assigned = [line.strip().partition(" = ") for line in lines if " = " in line and not line.strip().startswith("def")]
    return [(name, expression) for name, _, expression in assigned]


@pytest.mark.parametrize("make", [Conv4, CellNet])
def test_a_variable_is_assigned_again_only_from_itself(make) -> None:
    seen: set[str] = set()
    for name, expression in variables_of(source(make(), input_shape=IMAGE).text):
        assert name not in seen or re.search(rf"(?<!\w){name}(?!\w)", expression), f"{name} = {expression}"
        seen.add(name)


def test_export_changes_neither_the_network_nor_the_random_state() -> None:
    network = randomised(lambda: Conv4(0.3)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    attributes = set(vars(network))
    state = torch.get_rng_state()
    source(network, input_shape=IMAGE)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert set(vars(network)) == attributes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    "path, flat",
    [
        ("cells.0.node2.conv", "cells_0_node2_conv"),
        ("head", "head"),
        ("0", "layer_0"),
        ("zero.grad", "layer_zero_grad"),
        ("training", "layer_training"),
        ("_hidden", "layer__hidden"),
        ("a;import os", "a_import_os"),
        ("lambda", "layer_lambda"),
        ("größe", "gr__e"),
    ],
)
def test_flat_names(path: str, flat: str) -> None:
    assert flat_name(path) == flat
    assert flat_name(path).isidentifier()


def test_names_that_meet_are_refused() -> None:
    network = nn.Sequential()
    network.add_module("a", nn.Sequential())
    network.get_submodule("a").add_module("b_c", nn.Linear(2, 2))
    network.add_module("a_b", nn.Sequential())
    network.get_submodule("a_b").add_module("c", nn.Linear(2, 2))
    network.add_module("end", nn.Linear(2, 2))
    with pytest.raises(NasError, match=r"'a\.b_c' and 'a_b\.c' would both"):
        source(network, input_shape=(2,))


def test_nothing_can_be_injected_by_odd_names_or_texts() -> None:
    evil = 'x"""\nimport os\nos.abort()\n"""\\'
    network = nn.Sequential()
    network.add_module("a b\n        raise SystemExit", nn.Sequential(nn.Linear(2, 2)))
    network.add_module("raise SystemExit\n#", nn.Linear(2, 2))
    for about in ([evil], [evil, evil], ['"'], ['""""""'], ["\\"]):
        namespace: dict[str, object] = {"__name__": "model"}
        exec(compile(source(network, input_shape=(2,), about=about).text, "model.py", "exec"), namespace)
        assert set(namespace) - {"__name__", "__builtins__"} <= {"Network", "torch", "nn", "annotations"}


class Plain(nn.Module):
    """A module whose forward is given."""

    def __init__(self, forward: Callable[[Plain, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.inner = nn.Sequential(nn.Identity())
        self.large = torch.linspace(0, 1, 432).view(3, 12, 12)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def add_in_place(_: Plain, x: Tensor) -> Tensor:
    y = x
    y += 1
    return x + y


UNEXPORTABLE = {
    "in place": (add_in_place, "does something that tracing does not see"),
    "large tensor": (lambda self, x: x * self.large, "a tensor of 432 numbers that is no buffer; use register_buffer"),
    "shape": (lambda self, x: x.view(5, 7), r"does not run on inputs of shape \(4, 3, 12, 12\)"),
    "training": (lambda self, x: self.conv(x) if self.training else x, "other steps in training"),
}


@pytest.mark.parametrize("case", UNEXPORTABLE)
def test_what_cannot_be_exported_is_refused(case: str) -> None:
    forward, message = UNEXPORTABLE[case]
    with pytest.raises(NasError, match=message):
        source(Plain(forward), input_shape=IMAGE)


def test_errors_name_the_layer() -> None:
    branching = nn.Sequential(nn.ReLU(), nn.Sequential(Branching()))
    with pytest.raises(NasError, match=r"layer '1\.0' \(Branching\) cannot be exported"):
        source(branching, input_shape=IMAGE)


def test_layers_that_cannot_be_made_again_are_written_as_operations() -> None:
    changed = nn.Sequential(nn.Conv2d(3, 3, 3))
    changed[0].weight = nn.Parameter(torch.ones(3, 3, 1, 1))
    hooked = nn.Sequential(nn.ReLU())
    hooked[0].register_forward_hook(lambda module, inputs, output: output * 2)
    for network, part in ((changed, "F.conv2d(input, self.layer_0_weight, self.layer_0_bias)"), (hooked, "input * 2")):
        assert part in source(network, input_shape=IMAGE).text
