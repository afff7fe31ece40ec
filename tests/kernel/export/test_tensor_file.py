"""Files of tensors are the same bytes for the same content, and safetensors reads them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load

from nas.export.tensor_file import tensor_file


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a/ü": torch.ones(2, 2), "none": torch.zeros(0), "one": torch.tensor(True)}
    metadata = {f"key{number}": "text" * number for number in range(8)}
    backwards = dict(reversed(metadata.items()))
    content = tensor_file(tensors, metadata)
    assert all(tensor_file(tensors, each) == content for each in (metadata, backwards) * 4)
    read = load(content)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    (tmp_path / "file").write_bytes(content)
    with safe_open(tmp_path / "file", framework="pt") as file:
        assert file.metadata() == metadata
