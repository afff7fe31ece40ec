"""The gallery of found networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.first_format import copy_runs
from PIL import Image

from nas.errors import RunError
from nas.experiments.gallery import page


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of pictures, with two runs beside it."""
    copy_runs(tmp_path / "runs", monkeypatch)
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def test_a_section_has_picture_command_outcome_and_card(pictures: Path) -> None:
    text = page(["nas search FILE --name complete --set tasks.path=x"], pictures)
    with Image.open(pictures / "gallery-complete.png") as image:
        assert image.format == "PNG"
    assert "](pictures/gallery-complete.png)" in text
    assert (
        "<!-- not run: needs data of your own -->\n```sh\nnas search FILE --name complete --set tasks.path=x\n```"
        in text
    )
    assert "| Search space |" in text
    assert "| winner |" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## complete"]


def test_a_run_without_a_winner_is_refused(pictures: Path) -> None:
    with pytest.raises(RunError, match="'unfinished' has no winner to show; `nas show unfinished`"):
        page(["nas search FILE --name unfinished"], pictures)
