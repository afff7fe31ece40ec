"""Slots of a Ray cluster in numbers, and what is said of those that cannot be had. Ray itself is not needed."""

from __future__ import annotations

import builtins
import sys

import pytest

from nas.errors import ConfigError
from nas.executors.ray_cluster import RaySlots, connect

NODES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0}]


@pytest.mark.parametrize(
    ("slots", "nodes", "found"),
    [
        (RaySlots(), NODES, (8, 1.0, 0.25)),
        (RaySlots(device="cpu"), NODES, (11, 1.0, 0.0)),
        (RaySlots(device="cuda", gpus=0.5), NODES, (4, 1.0, 0.5)),
        (RaySlots(device="cpu", cpus=2), NODES, (5, 2, 0.0)),
        (RaySlots(device="cpu", cpus=0.1), [{"CPU": 0.3}], (3, 0.1, 0.0)),
        (RaySlots(3, gpus=1), NODES, (3, 1.0, 1)),
        (RaySlots(), [{"CPU": 4.0}], (4, 1.0, 0.0)),
        (RaySlots(device="cuda"), [{"CPU": 4.0}], (1, 1.0, 0.25)),
    ],
)
def test_slots_by_nodes(slots, nodes, found):
    there = slots.on(nodes)
    assert (there.count, there.cpus, there.gpus) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": 0}, "engine 'ray' cpus = 0; it must be "),
        ({"gpus": -1}, "engine 'ray' gpus = -1; it must be "),
        ({"wait_s": float("inf")}, "engine 'ray' wait_s = inf; it must be "),
        ({"device": "cuda:1"}, "device is 'cuda:1', but a Ray cluster assigns its GPUs itself; take 'cuda'"),
    ],
)
def test_what_cannot_be_asked_for(options, message):
    with pytest.raises(ConfigError) as caught:
        RaySlots(**options)
    assert message in str(caught.value)


def test_a_slot_that_no_node_has_is_told_from_one_that_is_in_use():
    gpu = RaySlots(1, gpus=1).on([{"CPU": 4.0}])
    assert gpu.unmet([{"CPU": 4.0}]) == (
        "no slot with cpus = 1 and gpus = 1 could be had in 30 s: no node has that (nodes: CPU 4, GPU 0); ask for "
        "less, add a node, or set search.engine.wait_s where the cluster starts nodes when they are needed"
    )
    assert "what there is, is in use" in RaySlots(1).on(NODES).unmet(NODES)
    assert "(nodes: none)" in RaySlots(1).on([]).unmet([])


def test_without_ray_the_install_line_is_said(monkeypatch):
    ordinary = builtins.__import__

    def without_ray(name, *rest):
        if name.split(".")[0] == "ray":
            raise ImportError("No module named 'ray'")
        return ordinary(name, *rest)

    monkeypatch.setenv("RAY_AUTH_MODE", "")  # so that `connect` leaves this process's environment alone
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(
        ConfigError, match=r"engine 'ray' needs Ray .*install it on every node with pip install 'adaptnas\[ray\]'"
    ):
        connect("")
