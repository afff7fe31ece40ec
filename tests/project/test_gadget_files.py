"""A pickle that would run code, in place of each kind of file that is read: refused in the project's words, not run."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas import config as configs
from nas.augmentation_policy import read_policy
from nas.config.optimizer_training import load_trainer
from nas.data.csv_files import read_csv
from nas.data.idx_files import read_idx
from nas.data.image_files import opened
from nas.data.image_folders import list_classes
from nas.data.tables import read_table
from nas.errors import NasError
from nas.evaluators.networks.weights import read_tensors
from nas.evaluators.optimizers import files as optimizers
from nas.evaluators.tasks.folder_classes import read_split_file
from nas.evaluators.tasks.omniglot_files import read_characters
from nas.evaluators.tasks.series_files import read_series
from nas.export import checksums
from nas.space import tables
from nas.store import Store

CANARY = "canary"


class Gadget:
    """An object whose unpickling leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"from pathlib import Path; Path({CANARY!r}).touch()",)


def plain() -> bytes:
    return pickle.dumps(Gadget())


def of_torch() -> bytes:
    content = io.BytesIO()
    torch.save(Gadget(), content)
    return content.getvalue()


def of_numpy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([Gadget()], dtype=object))
    return content.getvalue()


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in ("x", "arch", "images", "names", "evaluation", "series", "labels"):
            file.writestr(f"{name}.npy", of_numpy())
    return content.getvalue()


def read_optimizer(path: Path) -> object:
    path.rename(path.parent / optimizers.DESCRIPTION)
    return optimizers.read(path.parent)


def read_sums(path: Path) -> object:
    path.rename(path.parent / checksums.SUMS)
    return checksums.check_sums(path.parent)


def read_splits(path: Path) -> object:
    images = path.parent / "images"
    (images / "a").mkdir(parents=True)
    (images / "a" / "b.png").touch()
    return read_split_file(path, list_classes(images))


def read_store(path: Path) -> object:
    with Store.open(path, readonly=True) as store:
        return store.trials()


READERS = {
    "config": ("a.toml", lambda path: configs.load(str(path))),
    "config of an optimizer's training": ("a.toml", lambda path: load_trainer(str(path))),
    "npz of examples": ("a.npz", read_table),
    "npy of examples": ("a.npy", read_table),
    "csv of examples": ("a.csv", read_table),
    "csv": ("a.csv", read_csv),
    "npz of architectures": ("a.npz", lambda path: tables.read_table(path, tables.stamp(path))),
    "csv of architectures": ("a.csv", lambda path: tables.read_table(path, tables.stamp(path))),
    "idx": ("a-ubyte", read_idx),
    "image": ("a.png", opened),
    "policy": ("a.json", read_policy),
    "optimizer": ("a.json", read_optimizer),
    "weights": ("a.safetensors", lambda path: read_tensors(path, {})),
    "packed Omniglot": ("a.npz", read_characters),
    "npz of series": ("a.npz", read_series),
    "text of series": ("a.tsv", read_series),
    "ts of series": ("a.ts", read_series),
    "splits": ("a.csv", read_splits),
    "sums": ("sums", read_sums),
    "store": ("trials.sqlite", read_store),
}


@pytest.mark.parametrize("content", [plain, of_torch, of_numpy, archive])
@pytest.mark.parametrize("kind", READERS)
def test_no_reader_runs_a_pickle(tmp_path, monkeypatch, kind, content):
    monkeypatch.chdir(tmp_path)
    name, read = READERS[kind]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(content())
    with pytest.raises(NasError) as caught:
        read(tmp_path / "files" / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("content", [plain, of_torch, of_numpy])
def test_the_canary_is_seen_where_they_are_unpickled(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    readers = {
        plain: pickle.loads,
        of_torch: lambda data: torch.load(io.BytesIO(data), weights_only=False),
        of_numpy: lambda data: np.load(io.BytesIO(data), allow_pickle=True),
    }
    readers[content](content())
    assert (tmp_path / CANARY).exists()
