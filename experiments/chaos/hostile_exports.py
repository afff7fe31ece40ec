"""Exports of a stranger: any of their files changed, removed, or exchanged for something that is no such file."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nas import config as configs
from nas.adapt import load
from nas.data.preprocessing import ImagePreprocessing
from nas.errors import DataError, NasError
from nas.export import export
from nas.export.writing import Extras
from nas.failures import attempt, reason
from nas.protocols.learners import LEARNER, Portable
from nas.space import sample

from .gadgets import Gadget

EXPORT: Mapping[str, Any] = {
    "space": {"name": "few-shot-cell", "widths": [8], "depths": [2]},
    "tasks": {"name": "glyphs", "ways": 3, "shots": 2, "queries": 2},
    "evaluator": {"learner": {"name": "anil"}},
}
"""Config of the exported network."""
BAD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**30, "", "1", "x" * 10_000,
    "../../../etc/passwd", "/dev/zero", "os.system", "__class__", "\0", [], [[[]]], [0] * 1_000, {}, {"a": {}},
    {"ref": "x"},
)  # fmt: skip
SLOWEST_S = 10.0
"""Seconds that an export may take to be refused or taken."""
KINDS = ("entry", "entry", "entry", "bytes", "bytes", "cut", "text", "place")
"""Kinds of changes, each as often as it is drawn."""
CHANGED = (
    "network.json",
    "architecture.json",
    "adaptation.json",
    "preprocessing.json",
    "weights.safetensors",
    "card.md",
)


def write_export(folder: Path) -> None:
    """Writes an untrained network as an export, without sums, which a stranger would write anew."""
    config = configs.from_json(dict(EXPORT))
    parts = configs.build(config)
    measurer = parts.measurer
    learner = measurer.learner
    assert isinstance(learner, Portable)
    architecture = sample(parts.space, random.Random(1))
    network = measurer.network(architecture, seed=5)
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    own = learner.initial(network, measurer.tasks)
    parameters |= {LEARNER + name: tensor for name, tensor in own.items()}
    export(
        folder,
        network=network,
        architecture=architecture,
        shape=measurer.tasks.shape,
        recipe={"run": "toy", "config": config.to_json()},
        extras=Extras(
            rule=learner.adaptation(network, parameters, measurer.tasks.shape.kind),
            preprocessing=ImagePreprocessing(1, 28, 28),
        ),
    )
    (folder / "SHA256SUMS").unlink(missing_ok=True)


def batches(count: int, seed: int) -> list[list[int]]:
    """Seeds of `count` changes, in a list for each processor."""
    workers = os.cpu_count() or 1
    seeds = range(seed * count, (seed + 1) * count)
    return [list(seeds[i::workers]) for i in range(workers)]


def open_changed(net: Path, copy: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Opens an export once for each seed, each time with another change of a file, and adapts what is taken.

    Args:
        net: The export.
        copy: Where a copy of it is made.
        seeds: Seeds of the changes.

    Returns:
        The number of those that were opened and of those that were refused, and the faults, one line each.
    """
    torch.set_num_threads(1)
    shutil.copytree(net, copy)
    os.chdir(copy.parent)
    names = [name for name in CHANGED if (net / name).exists()]
    refused, faults = 0, list[str]()
    for seed in seeds:
        rng = random.Random(seed)
        name, kind = rng.choice(names), rng.choice(KINDS)
        path = copy / name
        _change(path, kind, rng)
        began = time.perf_counter()
        error = attempt(_adapted, copy).error
        refused += isinstance(error, NasError)
        fault = _fault(error, time.perf_counter() - began)
        faults += [f"change {seed} ({kind} of {name}): {fault}"] if fault else []
        _remove(path)
        shutil.copy2(net / name, path)
    return {"count": len(seeds), "refused": refused, "faults": faults[:20]}


def _adapted(folder: Path) -> object:
    """The network of an export, adapted to four examples of two classes."""
    network = load(folder)
    try:
        return network.fit(torch.rand(4, 1, 28, 28), ["a", "a", "b", "b"])
    except ValueError as error:  # with which adapt.py of an export refuses, and `nas adapt` in the same words
        raise DataError(str(error)) from error


def _fault(error: BaseException | None, seconds: float) -> str:
    """What is wrong with the answer to an export; empty for nothing."""
    if error is not None and not isinstance(error, NasError):
        return reason(error)[:200]
    if error is not None and "\n" in str(error):
        return f"the message has several lines: {str(error)[:150]!r}"
    return f"{seconds:.0f} s" if seconds > SLOWEST_S else ""


def _change(path: Path, kind: str, rng: random.Random) -> None:
    """Changes a file in place: an entry of its JSON, some bytes, its end, a piece of its text, or what it is."""
    data = path.read_bytes()
    if kind == "entry" and path.suffix == ".json":
        path.write_text(json.dumps(_with_bad_entry(json.loads(data), rng)), "utf-8")
    elif kind == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    elif kind == "text":
        piece = rng.choice((b'"', b"{", b"]", b"-", b"9" * 5000, b"null", b"\\u0000", b"\0", b"\xff", b"[" * 3000))
        place = rng.randrange(len(data))
        path.write_bytes(data[:place] + piece + data[place + rng.choice((0, 1, 10)) :])
    elif kind == "place":
        _remove(path)
        rng.choice(
            (
                lambda: None,
                path.mkdir,
                lambda: os.mkfifo(path),
                lambda: path.symlink_to("/dev/zero"),
                lambda: path.symlink_to("/etc/passwd"),
                lambda: path.write_bytes(pickle.dumps(Gadget())),
            )
        )()
    else:
        # The first bytes of a tensor file are the length and the text of its header.
        most = min(len(data), rng.choice((8, 64, 2_000, len(data))))
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 20))):
            changed[rng.randrange(most)] = rng.randrange(256)
        path.write_bytes(changed)


def _with_bad_entry(document: Any, rng: random.Random) -> Any:
    """A JSON document with one of its values, at any depth, exchanged, removed or repeated."""
    node, parents = document, list[tuple[Any, Any]]()
    while isinstance(node, dict | list) and node and (not parents or rng.random() < 0.8):
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        parents.append((node, key))
        node = node[key]
    if not parents:
        return rng.choice(BAD)
    parent, key = parents[-1]
    change = rng.randrange(10)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    else:
        parent[key] = rng.choice(BAD)
    return document


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
