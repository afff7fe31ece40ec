"""Files that would run code or lead out of their folder, and the doors at which a file is read."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

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
from nas.regular_files import MIB
from nas.space import tables
from nas.store import Store

CANARY = "canary"
"""Folder that a gadget makes in the working directory where it is executed."""
CODE = f"__import__('os').mkdir({CANARY!r})"
"""What a text says that some readers of other programs would execute."""
ZEROS = bytes(MIB)


class Gadget:
    """An object whose unpickling makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (CANARY,)


def pickled() -> bytes:
    return pickle.dumps(Gadget())


def of_torch() -> bytes:
    import torch

    content = io.BytesIO()
    torch.save(Gadget(), content)
    return content.getvalue()


def of_numpy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([Gadget()], dtype=object))
    return content.getvalue()


def archive() -> bytes:
    """Arrays of objects under all names that are read."""
    return _zip({f"{n}.npy": of_numpy() for n in ("x", "arch", "images", "names", "evaluation", "series", "labels")})


@cache
def bomb() -> bytes:
    """512 MiB of zeros in half a MB."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w", force_zip64=True) as part:
        np.lib.format.write_array_header_1_0(part, {"descr": "|u1", "fortran_order": False, "shape": (512 * MIB,)})
        for _ in range(512):
            part.write(ZEROS)
    return content.getvalue()


@cache
def compressed_bomb() -> bytes:
    """The header of an IDX file of one image, and 512 MiB of zeros, in half a MB."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=6) as file:
        file.write(b"\0\0\x08\x03" + b"\0\0\0\x01" * 3)
        for _ in range(512):
            file.write(ZEROS)
    return content.getvalue()


def slip() -> bytes:
    """An archive whose members have paths that lead out of a folder."""
    return _zip({name: of_numpy() for name in (f"../{CANARY}", f"/tmp/{CANARY}", "../../x.npy", "x.npy")})


def yaml() -> bytes:
    return f"!!python/object/apply:builtins.exec [{CODE!r}]\n".encode()


def json_of_paths() -> bytes:
    return (
        b'{"py/reduce": [{"py/function": "builtins.exec"}, ["' + CODE.replace("'", "\\'").encode() + b'"]], '
        b'"$ref": "../outside", "format": "../outside", "name": "../evil.py:Evil", "weights": "../outside"}'
    )


def onnx_of_outside() -> bytes:
    """The tensor of an ONNX file whose data are in another file, as protobuf: location = ../outside."""
    entry = b"\x0a\x08location\x12\x0a../outside"
    return b"\x08\x08:\x20*\x1ej\x1c" + entry + b"p\x01"


def _zip(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


CONTENTS: Mapping[str, Callable[[], bytes]] = {
    "a pickle": pickled,
    "a pickle of torch": of_torch,
    "an array of objects": of_numpy,
    "an archive of objects": archive,
    "a zip bomb": bomb,
    "a gzip bomb": compressed_bomb,
    "an archive of paths": slip,
    "a YAML object": yaml,
    "JSON of objects and paths": json_of_paths,
    "ONNX with data outside": onnx_of_outside,
}
"""Gadgets by name, as the content of a file."""
PLACES: Mapping[str, Callable[[Path], object]] = {
    "a link to a file outside": lambda path: path.symlink_to("../outside"),
    "a link to a pickle outside": lambda path: path.symlink_to("../gadget"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}
"""Gadgets by name, as what stands in place of a file."""
GADGETS = (*CONTENTS, *PLACES)


def _read_optimizer(path: Path) -> object:
    path.rename(path.parent / optimizers.DESCRIPTION)
    return optimizers.read(path.parent)


def _read_sums(path: Path) -> object:
    path.rename(path.parent / checksums.SUMS)
    checksums.check_sums(path.parent)
    return None


def _read_splits(path: Path) -> object:
    images = path.parent / "images"
    (images / "a").mkdir(parents=True)
    (images / "a" / "b.png").touch()
    return read_split_file(path, list_classes(images))


def _read_store(path: Path) -> object:
    with Store.open(path, readonly=True) as store:
        return store.trials()


DOORS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "config": ("a.toml", lambda path: configs.load(str(path))),
    "config of an optimizer's training": ("a.toml", lambda path: load_trainer(str(path))),
    "npz of examples": ("a.npz", read_table),
    "npy of examples": ("a.npy", read_table),
    "csv of examples": ("a.csv", read_table),
    "csv": ("a.csv", read_csv),
    "npz of architectures": ("a.npz", lambda path: tables.read_table(path, tables.stamp(path))),
    "csv of architectures": ("a.csv", lambda path: tables.read_table(path, tables.stamp(path))),
    "idx": ("a-ubyte", read_idx),
    "compressed idx": ("a-ubyte.gz", read_idx),
    "image": ("a.png", opened),
    "policy": ("a.json", read_policy),
    "optimizer": ("a.json", _read_optimizer),
    "weights": ("a.safetensors", lambda path: read_tensors(path, {})),
    "packed Omniglot": ("a.npz", read_characters),
    "npz of series": ("a.npz", read_series),
    "text of series": ("a.tsv", read_series),
    "ts of series": ("a.ts", read_series),
    "splits": ("a.csv", _read_splits),
    "sums": ("sums", _read_sums),
    "store": ("trials.sqlite", _read_store),
}
"""Readers of files by the kind of file: the file's name, and the reader."""


def make(gadget: str, door: str, folder: Path) -> Path:
    """Makes a gadget in place of a kind of file, with what its links lead to, in an empty folder; returns its path."""
    (folder / "outside").write_text("outside")
    (folder / "gadget").write_bytes(pickled())
    (folder / "files").mkdir()
    path = folder / "files" / DOORS[door][0]
    if gadget in CONTENTS:
        path.write_bytes(CONTENTS[gadget]())
    else:
        PLACES[gadget](path)
    return path


def open_gadget(door: str, path: Path) -> str:
    """Reads a gadget, in the folder that `make` was given.

    Returns:
        The message with which it is refused; empty where it is read as something harmless.
    """
    os.chdir(path.parent.parent)
    try:
        DOORS[door][1](path)
    except NasError as error:
        return str(error)
    return ""


def canary_touched(folder: Path) -> bool:
    """Whether code of a gadget has run in a folder or below it."""
    return any(True for _ in folder.rglob(CANARY))
