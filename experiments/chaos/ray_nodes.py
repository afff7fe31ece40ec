"""A Ray cluster of a head and several nodes on this machine, whose nodes can be killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_S = 60.0
"""Longest time for a node to start, in seconds."""


class RayNode:
    """A node: the process `ray start --block`, and below it the raylet, which is the node to the cluster.

    Args:
        arguments: Arguments of `ray start`.
        environment: Environment variables.
        log: File for its output.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def raylets(self) -> list[int]:
        """Process numbers of the node's raylet; none before it has started and after it has ended."""
        return [pid for pid, name in _descendants(self.process.pid) if name == "raylet"]

    def kill_raylet(self) -> None:
        """Ends the raylet as a crash of the node would, by SIGKILL."""
        for pid in self.raylets():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends all processes of the node."""
        pids = [self.process.pid, *(pid for pid, _ in _descendants(self.process.pid))]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class RayCluster:
    """A cluster of a head without slots, and nodes of one slot each, with token authentication.

    Args:
        folder: Folder for logs.
        nodes: Number of nodes.
    """

    def __init__(self, folder: Path, nodes: int) -> None:
        self._folder, port = folder, _free_port()
        self.address = f"127.0.0.1:{port}"
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        head = [f"--port={port}", "--head", "--num-cpus=0", "--include-dashboard=false"]
        self._head = self._started(head)
        self.nodes = [self.start_node() for _ in range(nodes)]

    def start_node(self) -> RayNode:
        """A new node, once its raylet runs."""
        return self._started([f"--address={self.address}", "--num-cpus=1"])

    def end(self) -> None:
        """Ends all nodes and the head."""
        for node in [*self.nodes, self._head]:
            node.end()

    def _started(self, arguments: list[str]) -> RayNode:
        node = RayNode(arguments, {**os.environ, **self.environment}, self._folder / "ray.log")
        end = time.monotonic() + START_S
        while not node.raylets():
            if time.monotonic() > end or node.process.poll() is not None:
                node.end()
                raise RuntimeError((self._folder / "ray.log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        return node


@contextmanager
def ray_cluster(folder: Path, nodes: int) -> Iterator[RayCluster]:
    """A cluster as long as the context lasts. Its token is in the environment, so that this process may connect."""
    cluster = RayCluster(folder, nodes)
    before = dict(os.environ)
    os.environ.update(cluster.environment)
    try:
        yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)
        cluster.end()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Number and name of each process below one."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                name, _, fields = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                children.setdefault(int(fields.split()[1]), []).append((int(entry.name), name))
    unseen = [pid]
    while unseen:
        for child, name in children.get(unseen.pop(), ()):
            unseen.append(child)
            yield child, name
