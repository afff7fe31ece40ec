"""A pickle that would run code, in place of each kind of file that is read: refused in the project's words, not run."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch

from nas.errors import NasError
from nas.experiments.chaos.gadgets import CANARY, DOORS, archive, of_numpy, of_torch, pickled


@pytest.mark.parametrize("content", [pickled, of_torch, of_numpy, archive])
@pytest.mark.parametrize("kind", DOORS)
def test_no_reader_runs_a_pickle(tmp_path, monkeypatch, kind, content):
    monkeypatch.chdir(tmp_path)
    name, read = DOORS[kind]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(content())
    with pytest.raises(NasError) as caught:
        read(tmp_path / "files" / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("content", [pickled, of_torch, of_numpy])
def test_the_canary_is_seen_where_they_are_unpickled(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    readers = {
        pickled: pickle.loads,
        of_torch: lambda data: torch.load(io.BytesIO(data), weights_only=False),
        of_numpy: lambda data: np.load(io.BytesIO(data), allow_pickle=True),
    }
    readers[content](content())
    assert (tmp_path / CANARY).exists()
