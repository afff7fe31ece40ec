"""Slots of a real Ray cluster, which starts for these tests; skipped without the extra `ray`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from helpers.launch import result, toy  # a config of seconds

from nas.errors import ConfigError, WorkerError
from nas.executors.ray_cluster import RaySlots
from nas.executors.ray_executor import RayExecutor
from nas.runs import folder, launch
from nas.runs.progress import Silence

pytest.importorskip("ray", reason="needs the extra: pip install 'adaptnas[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module")
def executor():
    made = RayExecutor(RaySlots(2, "cpu", cpus=0.2))
    yield made
    made.shutdown()


def square(number: int) -> int:
    return number * number


def end_the_slot(marker: str = "") -> str:
    """Ends the actor above this worker, as the loss of its node does; with a marker's path, the first time only."""
    if marker:
        if Path(marker).exists():
            return "done"
        Path(marker).touch()
    pid = os.getpid()
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    time.sleep(60)
    return "not ended"


def refuse() -> None:
    raise ValueError("not today")


def test_calls_give_their_results_and_errors(executor):
    assert [future.result() for future in [executor.submit(square, number) for number in range(20)]] == [
        number * number for number in range(20)
    ]
    with pytest.raises(ValueError, match="not today"):
        executor.submit(refuse).result()


def test_a_deadline_ends_a_call_and_the_slot_goes_on(executor):
    executor.deadline_s = 1.0
    with pytest.raises(WorkerError, match="no answer after 1 s"):
        executor.submit(time.sleep, 60).result()
    executor.deadline_s = None
    assert executor.submit(square, 3).result() == 9


def test_a_call_whose_slot_is_lost_is_made_again(executor, tmp_path):
    assert executor.submit(square, 2).result() == 4
    assert executor.submit(end_the_slot, str(tmp_path / "marker")).result() == "done"


def test_a_call_that_takes_every_slot_down_fails(executor):
    with pytest.raises(WorkerError, match="5 slots were lost with it"):
        executor.submit(end_the_slot).result()
    assert executor.submit(square, 5).result() == 25


def test_a_run_in_one_slot_is_bit_for_bit_that_of_worker_processes(executor, monkeypatch, tmp_path):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    one_slot = RayExecutor(RaySlots(1, "cpu", cpus=0.2))
    runs = []
    for name, own in (("processes", None), ("ray", one_slot)):
        config = toy(evaluator={"budget": 9}, search={"fidelity": {"rungs": 2, "eta": 3}})
        run = folder.new_run(name, "toy")
        launch.start(config, run, Silence(), own)
        runs.append(result(run))
    one_slot.shutdown()
    assert runs[0] == runs[1]


def test_a_slot_that_no_node_has_is_said_in_its_time():
    began = time.monotonic()
    with pytest.raises(ConfigError, match="no slot with cpus = 1 and gpus = 3 could be had in 2 s: no node has that"):
        RayExecutor(RaySlots(1, gpus=3, wait_s=2))
    assert time.monotonic() - began < 30
