"""The picture of the outer and the inner loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.project import ROOT, needs_checkout
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from PIL import Image

from nas.experiments.two_loops_picture import main, picture

LARGEST = 100_000  # bytes


def test_the_picture_has_each_step_and_both_loops() -> None:
    texts = [text.get_text() for text in picture().axes[0].texts]
    assert [sum(f"\\bf{{{step}}}" in text for text in texts) for step in range(1, 6)] == [1] * 5
    assert [sum(text.startswith(loop) for text in texts) for loop in ("OUTER LOOP", "INNER LOOP")] == [1, 1]


def test_texts_fit_into_their_boxes() -> None:
    figure = picture()
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    for text in filter(Text.get_text, axes.texts):
        place = text.get_window_extent()
        around = [box for box in boxes if box.contains(*(place.p0 + place.p1) / 2)]
        smallest = min(around, key=lambda box: box.width)
        assert smallest.contains(*place.p0), text
        assert smallest.contains(*place.p1), text


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    main([str(tmp_path / "loops.png")])
    return tmp_path / "loops.png"


def test_it_is_a_small_png_and_the_same_each_time(drawn: Path) -> None:
    first = drawn.read_bytes()
    main([str(drawn)])
    assert drawn.read_bytes() == first
    assert len(first) < LARGEST


@needs_checkout
def test_the_page_has_it(drawn: Path) -> None:
    with Image.open(ROOT / "docs" / "pictures" / "two_loops.png") as shown, Image.open(drawn) as image:
        assert shown.format == "PNG"
        assert shown.size == image.size, "draw it again with nas.experiments.two_loops_picture"
