"""Worker slots: numbers of workers and their GPUs."""

from __future__ import annotations

import os

import pytest

from nas.errors import ConfigError
from nas.executors import default_workers, slots


def test_slots_on_the_cpu() -> None:
    assert slots(3, "cpu") == [{}, {}, {}]
    assert len(slots("auto", "cpu")) == default_workers(0) == len(os.sched_getaffinity(0))


def test_slots_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(5, "cuda")] == ["0", "1", "0", "1", "0"]
    assert slots(1, "cuda:1") == [{}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    assert len(slots("auto", "auto")) == default_workers(2) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert len(slots("auto", "cuda")) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-abc")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(2, "cuda")] == ["3", "GPU-abc"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert slots(1, "auto") == [{}]
    with pytest.raises(ConfigError, match="sees no GPU"):
        slots(1, "cuda")
