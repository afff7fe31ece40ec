"""Devices by name, and settings that are restored."""

import pytest
import torch
from torch import nn

from nas.errors import ConfigError
from nas.evaluators.meta_training.devices import device_of, reproducible

CPU = torch.device("cpu")


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for available, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert device_of("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cuda:-1", "CPU"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(ConfigError, match=f"device '{name}' is not known; use 'auto', 'cpu', 'cuda' or 'cuda:N'"):
        device_of(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="device 'cuda:2' is not there: 2 CUDA devices found"):
        device_of("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="device 'cuda' is not there: 0 CUDA devices found"):
        device_of("cuda")


def settings():
    cudnn, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, products


def fail_inside():
    with reproducible(nn.Linear(1, 1), CPU):
        raise ValueError("out of luck")


def test_settings_are_put_back_whatever_happens():
    before = settings()
    with reproducible(nn.Linear(1, 1), CPU):
        pass
    assert settings() == before
    with pytest.raises(ValueError, match="out of luck"):
        fail_inside()
    assert settings() == before


def test_the_cpu_leaves_weights_as_they_are():
    """Memory layouts are set by the learners."""
    network = nn.Conv2d(3, 4, 3)
    with reproducible(network, CPU):
        assert network.weight.is_contiguous()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_with_full_precision_and_the_same_algorithms():
    before = settings()
    network = nn.Conv2d(3, 4, 3)
    with reproducible(network, torch.device("cuda")):
        assert network.weight.is_cuda
        assert settings() == (True, False, True, False, "highest")
    with reproducible(network, torch.device("cuda"), tf32=True):
        assert settings() == (True, False, True, True, "high")
    assert settings() == before
