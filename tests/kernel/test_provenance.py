"""Provenance of numbers: versions and processor, also on systems that do not tell."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from nas import __version__
from nas.provenance import processor, versions


def test_versions_are_those_of_this_process():
    assert versions() == {
        "adaptnas": __version__, "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text, name",
    [("processor\t: 0\nmodel name\t: One: of 2\nmodel name\t: Other\n", "One: of 2"), ("processor\t: 0\n", "told")],
)
def test_the_processor_is_named_from_what_the_system_says(text, name, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_: text)
    monkeypatch.setattr(platform, "processor", lambda: "told")
    assert processor() == name


def test_without_a_name_the_processor_is_known_by_its_kind(monkeypatch):
    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor() == platform.machine() != ""
