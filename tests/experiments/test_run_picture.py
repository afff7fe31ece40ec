"""The picture of a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.first_format import copy_runs
from PIL import Image

from nas.experiments.run_picture import main


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy_runs(tmp_path / "runs", monkeypatch)
    return tmp_path


def test_the_picture_of_a_run_is_a_small_png(runs: Path) -> None:
    main(["complete", str(runs / "run.png")])
    with Image.open(runs / "run.png") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height > 0
    assert (runs / "run.png").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("name", "message"), [("unfinished", "no winner and baseline to draw"), ("other", "there is no run 'other'")]
)
def test_a_run_without_a_result_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, str(runs / "run.png")])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (runs / "run.png").exists()
