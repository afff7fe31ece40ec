"""Connection to a Ray cluster, and the resources of its slots."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..bounds import check_number
from ..errors import ConfigError
from ..failures import attempt, reason
from .slots import WORKERS_PER_GPU

INSTALL = "install it on every node with pip install 'adaptnas[ray]'"
MOST_CPUS, MOST_GPUS, LONGEST_WAIT_S = 1024.0, 64.0, 86_400.0


@dataclass(frozen=True)
class RaySlots:
    """Number and resources of the slots that a run asks for.

    Attributes:
        workers: Number of slots, at least 1; 'auto' for as many as the nodes have room for now.
        device: 'auto', 'cpu' or 'cuda'. Which GPU a slot sees is the cluster's decision.
        cpus: Processors of a slot, above 0.
        gpus: GPUs of a slot, such as 0.5; None for 1 / WORKERS_PER_GPU where the device is 'cuda', or is 'auto' and a
            node has a GPU, and 0 otherwise.
        wait_s: Seconds to wait for the first slot, above 0.
        memory_gb: As in `SlotRequest`, where 'auto' is of the slot's node.
        gpu_memory_gb: As in `SlotRequest`.

    Raises:
        ConfigError: A number is out of range, or the device is one GPU by its number.
    """

    workers: int | Literal["auto"] = "auto"
    device: str = "auto"
    cpus: float = 1.0
    gpus: float | None = None
    wait_s: float = 30.0
    memory_gb: float | Literal["auto"] = "auto"
    gpu_memory_gb: float = 0.0

    def __post_init__(self) -> None:
        check_number("engine 'ray'", "cpus", self.cpus, 0.0, MOST_CPUS, above=True)
        check_number("engine 'ray'", "gpus", self.gpus or 0.0, 0.0, MOST_GPUS)
        check_number("engine 'ray'", "wait_s", self.wait_s, 0.0, LONGEST_WAIT_S, above=True)
        if self.device.startswith("cuda:"):
            raise ConfigError(f"device is {self.device!r}, but a Ray cluster assigns its GPUs itself; take 'cuda'")

    def on(self, nodes: list[dict[str, float]]) -> SlotResources:
        """The slots in numbers, on a cluster of nodes with these resources."""
        use_gpu = self.device == "cuda" or (self.device == "auto" and any(node.get("GPU") for node in nodes))
        gpus = (1 / WORKERS_PER_GPU if use_gpu else 0.0) if self.gpus is None else self.gpus
        host_gb = 0.0 if self.memory_gb == "auto" and gpus else self.memory_gb
        resources = SlotResources(1, self.cpus, gpus, self.wait_s, host_gb, self.gpu_memory_gb)
        count = max(1, sum(map(resources.fit, nodes))) if self.workers == "auto" else self.workers
        return replace(resources, count=count)


@dataclass(frozen=True)
class SlotResources:
    """Resources of the slots, in numbers.

    Attributes:
        count: Number of slots.
        cpus: Processors of a slot.
        gpus: GPUs of a slot.
        wait_s: Seconds after which a slot that cannot be had is said.
        host_gb: Limit of a worker's memory, as `nas.executors.limits.memory_limits` takes it.
        gpu_gb: Limit of its memory of each GPU.
    """

    count: int
    cpus: float
    gpus: float
    wait_s: float
    host_gb: float | Literal["auto"] = 0.0
    gpu_gb: float = 0.0

    def fit(self, node: dict[str, float]) -> int:
        """Number of slots that a node with these resources has room for."""
        shares = [node.get("CPU", 0.0) / self.cpus]
        if self.gpus:
            shares.append(node.get("GPU", 0.0) / self.gpus)
        return int(min(shares) + 1e-9)

    def actor_options(self) -> dict[str, Any]:
        """Options of the actor of a slot. Ray restarts no lost actor: its call is made again in another slot."""
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
        }

    def unmet(self, nodes: list[dict[str, float]]) -> str:
        """What is said of a slot that could not be had on a cluster of nodes with these resources."""
        needs = f"cpus = {self.cpus:g}" + (f" and gpus = {self.gpus:g}" if self.gpus else "")
        has = "; ".join(f"CPU {node.get('CPU', 0):g}, GPU {node.get('GPU', 0):g}" for node in nodes) or "none"
        why = "what there is, is in use" if any(map(self.fit, nodes)) else "no node has that"
        return (
            f"no slot with {needs} could be had in {self.wait_s:g} s: {why} (nodes: {has}); ask for less, add a node, "
            "or set search.engine.wait_s where the cluster starts nodes when they are needed"
        )


def connect(address: str) -> tuple[Any, bool]:
    """The module `ray`, connected to a cluster, and whether this call made the connection.

    A cluster that is started for it has no dashboard and asks every client for a token, unless this process had
    imported Ray before.

    Args:
        address: Address of the cluster's head; 'auto' for a running cluster of this machine; '' for the one that the
            environment variable RAY_ADDRESS names, or where it names none, one that is started now.

    Raises:
        ConfigError: Ray is not installed, or the cluster does not answer.
    """
    address = address or os.environ.get("RAY_ADDRESS", "")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not address and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Ray reads them on being imported.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
        import ray.cloudpickle
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(f"engine 'ray' needs Ray ({reason(error)}); {INSTALL}") from None
    if ray.is_initialized():
        return ray, False
    connected = attempt(_init, ray, address)
    if connected.error is not None:  # a ConnectionError, RuntimeError, ValueError … by version and cause
        raise ConfigError(
            f"the Ray cluster {address or 'of this machine'} does not answer ({first_line(connected.error)}); start it "
            "with `ray start --head`, or correct search.engine.address"
        )
    return ray, True


def _init(ray: Any, address: str) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        ray.init(address, **quiet)
    else:
        ray.init("local", include_dashboard=False, **quiet)
    # Ray prints pages on standard output when a node is lost, for which it has no option.
    vars(ray._private.worker).update(_worker_logs_enabled=False)


def nodes(ray: Any) -> list[dict[str, float]]:
    """Resources of the nodes that are alive, such as CPU and GPU, by name."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def first_line(error: BaseException) -> str:
    """The first line of an error of Ray, whose messages have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
