"""ONNX files compute what torch computes, at any batch size, and name no path of the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.errors import ConfigError, NasError
from nas.export import onnx_file
from nas.export.contents import PARTS, chosen
from nas.export.onnx_file import network_onnx, predictor_onnx
from nas.export.standalone.adapt import Predictor

for package in onnx_file.PACKAGES:
    pytest.importorskip(package, reason="the extra 'onnx' is not installed")

SHAPE = (1, 6, 6)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return out


class Scaled(Net):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def net(kind: type[Net] = Net) -> Net:
    torch.manual_seed(0)
    return kind()


def run(content: bytes, x: Tensor) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"input": x.numpy()})
    return found


def predictor(method: str, *, head_only: bool) -> Predictor:
    rule = {
        "task": "classification",
        "method": method,
        "head": "head",
        "head_only": head_only,
        "batch_statistics": False,
        "steps": 2,
        "optimizer": "sgd",
        "reduction": "mean",
        "rate": 0.1,
        "adapts": [] if head_only else [name for name, _ in net().named_parameters()],
        "head_start": "trained",
        "temperature": 0.0,
        "outputs": 5,
        "input_shape": list(SHAPE),
    }
    learned = {"log_lambda": torch.tensor(0.0), "scale": torch.tensor(2.0), "shift": torch.tensor(0.5)}
    return Predictor(net(), Path("nowhere"), {"rule": rule, "preprocessing": None}, learned)


def test_a_file_has_output_and_features_and_is_the_same_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    network = net()
    state, drawn = {n: t.clone() for n, t in network.state_dict().items()}, torch.random.get_rng_state()
    content = network_onnx(network, SHAPE, "head")
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    x = torch.rand(3, *SHAPE)
    output, features = map(torch.from_numpy, run(content, x))
    assert torch.allclose(output, network(x), atol=1e-5)
    assert torch.allclose(network.head(features), network(x), atol=1e-5)
    assert network_onnx(network, SHAPE, "head") == content
    for folder in (Path(torch.__file__).parent, Path(__file__).parent, Path.home(), Path.cwd()):
        assert str(folder).encode() not in content
    assert b".py" not in content


def test_without_a_head_that_makes_the_output_there_are_no_features() -> None:
    network, x = net(Scaled), torch.rand(2, *SHAPE)
    (output,) = run(network_onnx(network, SHAPE, "head"), x)
    assert torch.allclose(torch.from_numpy(output), network(x), atol=1e-5)


@pytest.mark.parametrize(
    "method, head_only", [("gradient", True), ("gradient", False), ("prototypes", True), ("ridge", True)]
)
def test_an_adapted_predictor_is_one_file(method: str, head_only: bool) -> None:
    support = torch.rand(6, *SHAPE)
    fitted = predictor(method, head_only=head_only).fit(support, ["a", "b", "c"] * 2)
    x = torch.rand(4, *SHAPE)
    (output,) = run(predictor_onnx(fitted), x)
    assert output.shape == (4, 3)
    assert torch.allclose(torch.from_numpy(output), fitted.outputs(x), atol=1e-5)


def test_what_cannot_be_converted_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Branching(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if float(x.sum()) > 0 else x.new_zeros(len(x), 5)

    with pytest.raises(NasError, match=r"torch\.onnx cannot convert the network"):
        network_onnx(net(Branching), SHAPE)
    with pytest.raises(NasError, match="not adapted yet"):
        predictor_onnx(predictor("ridge", head_only=True))
    monkeypatch.setattr(onnx_file, "TOLERANCE", -1.0)
    with pytest.raises(NasError, match="differ from torch's by"):
        network_onnx(net(), SHAPE)
    monkeypatch.setattr(onnx_file, "PACKAGES", ("no_such_package",))
    with pytest.raises(NasError, match=r"no_such_package cannot be imported; pip install 'adaptnas\[onnx\]'"):
        network_onnx(net(), SHAPE)


def test_parts_are_chosen_by_name() -> None:
    assert chosen([]) == chosen(["all"]) == chosen(["onnx,all"]) == PARTS
    assert chosen(["card, onnx", "source"]) == ("source", "onnx", "card")
    with pytest.raises(ConfigError, match="'onx': did you mean 'onnx'"):
        chosen(["onx"])
    with pytest.raises(ConfigError, match="names nothing"):
        chosen([","])
