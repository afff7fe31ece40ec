"""The engines of this machine by name, and the request that an engine makes its slots from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..bounds import check_number
from .carried_files import Tree, tree_of
from .inline_executor import InlineExecutor
from .limits import MemoryLimits, memory_limits
from .nni_executor import NniExecutor
from .process_executor import ProcessExecutor
from .ray_cluster import RaySlots
from .ray_executor import RayExecutor
from .slots import slots


@dataclass(frozen=True)
class SlotRequest:
    """Slots that a run asks its engine for.

    Attributes:
        workers: Number of slots, at least 1; 'auto' for as many as the engine finds sensible.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N', where candidates are trained.
        deadline_s: Longest time of one call in seconds; None for no limit.
        memory_gb: Memory of a worker process in GB; 0 for no limit; 'auto' for a share of its machine's on the CPU, and
            no limit with GPUs.
        gpu_memory_gb: Memory of each GPU that a worker process may take, in GB; 0 for no limit.
        data: Files and folders of data that the run reads.
        code: Files of the user's own classes.
    """

    workers: int | Literal["auto"] = "auto"
    device: str = "auto"
    deadline_s: float | None = None
    memory_gb: float | Literal["auto"] = "auto"
    gpu_memory_gb: float = 0.0
    data: tuple[Path, ...] = ()
    code: tuple[Path, ...] = ()


def _limits(slot_request: SlotRequest, environments: Sequence[Mapping[str, str]]) -> MemoryLimits:
    """Limits of workers here. With GPUs 'auto' is none: what a GPU's driver takes of the host differs."""
    on_gpu = any(environments) or slot_request.device.startswith("cuda")
    host_gb = 0.0 if slot_request.memory_gb == "auto" and on_gpu else slot_request.memory_gb
    return memory_limits(host_gb, slot_request.gpu_memory_gb)


def processes(slot_request: SlotRequest) -> ProcessExecutor:
    """Worker processes of this machine.

    Raises:
        ConfigError: The device is 'cuda', and there is no GPU.
    """
    environments = slots(slot_request.workers, slot_request.device)
    return ProcessExecutor(
        len(environments),
        environments=environments,
        deadline_s=slot_request.deadline_s,
        limits=_limits(slot_request, environments),
    )


def inline(slot_request: SlotRequest) -> InlineExecutor:
    """This process, one candidate after the other: no deadline, and a candidate that crashes it ends the run."""
    return InlineExecutor()


def ray(
    slot_request: SlotRequest,
    address: str = "",
    cpus: float = 1.0,
    gpus: float | None = None,
    wait_s: float = 30.0,
    shared_disk: bool = False,
) -> RayExecutor:
    """Slots on the nodes of a Ray cluster, each with a worker process.

    Args:
        slot_request: The slots that the run asks for.
        address: Address of the cluster's head, such as '192.0.2.1:6379'; 'auto' for a running cluster of this machine;
            '' for the one that RAY_ADDRESS names, or where it names none, one that is started for the run.
        cpus: Processors of a slot.
        gpus: GPUs of a slot, such as 0.5; by default a quarter where candidates are trained on GPUs.
        wait_s: Seconds to wait for the first slot, such as for nodes that the cluster starts when they are needed.
        shared_disk: Whether all nodes see data and the folder of runs under the same paths, so that no files are sent.

    Raises:
        ConfigError: As `RayExecutor`.
        DataError: A file cannot be read.
    """
    slots_there = RaySlots(
        slot_request.workers,
        slot_request.device,
        cpus,
        gpus,
        wait_s,
        memory_gb=slot_request.memory_gb,
        gpu_memory_gb=slot_request.gpu_memory_gb,
    )
    trees = () if shared_disk else trees_of(slot_request)
    return RayExecutor(slots_there, address=address, trees=trees, deadline_s=slot_request.deadline_s)


def nni(slot_request: SlotRequest, port: int = 8080) -> NniExecutor:
    """Trials of a local NNI experiment, whose web page shows them; each costs a second or two more than a worker's.

    Args:
        slot_request: The slots that the run asks for.
        port: Port of the page, on this machine alone.

    Raises:
        ConfigError: As `NniExecutor`, or the port is out of range.
    """
    check_number("engine 'nni'", "port", port, 1024, 65_535)
    environments = slots(slot_request.workers, slot_request.device)
    return NniExecutor(
        len(environments), port=port, deadline_s=slot_request.deadline_s, limits=_limits(slot_request, environments)
    )


def trees_of(slot_request: SlotRequest) -> tuple[Tree, ...]:
    """The files that a run's calls need on another machine: its data, and the user's code. Raises DataError."""
    data = tuple(tree_of(path) for path in slot_request.data)
    if not slot_request.code:
        return data
    folder = Path(os.path.commonpath([path.parent for path in slot_request.code]))
    return (*data, Tree(folder, slot_request.code))
