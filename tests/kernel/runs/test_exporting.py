"""Exports of runs: any trial, reproducible, checked by sums, and without paths of the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.launch import TRIALS, in_this_process, own_runs, toy  # noqa: F401  # fixtures
from safetensors.torch import load_file

from nas.adapt.predictor import load
from nas.errors import ConfigError, DataError, RunError
from nas.export.checksums import check_sums
from nas.export.onnx_file import missing_packages
from nas.runs import Run, exporting, resume_checks, run_search
from nas.runs import run as run_module
from nas.runs.exporting import ExportOptions
from nas.store import Store

PLAIN = ("source", "picture", "card")


@pytest.fixture(name="run")
def run_of_seconds(inline: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(run_module, "load", lambda *_, **__: toy())
    return run_search("toy.toml")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def another(run: Run) -> int:
    """Number of a trial with a result of its own that is not the winner."""
    winner = run.winner
    assert winner is not None
    return next(t.number for t in run.trials if t.number != winner.number and t.score and t.duplicate_of is None)


def test_two_exports_are_the_same_bytes_and_their_sums_hold(run: Run, tmp_path: Path) -> None:
    names = {path.name for path in run.export(tmp_path / "one")}
    run.export(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    onnx = set() if missing_packages() else {"model.onnx"}
    stage_two = {"adapt.py", "preprocessing.py", "adaptation.json", "network.json"}
    assert names >= {"card.md", "model.py", "weights.safetensors", "SHA256SUMS"} | stage_two | onnx
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "one", check=True, timeout=20)
    listed = {line.split("  ")[1] for line in (tmp_path / "one" / "SHA256SUMS").read_text().splitlines()}
    assert listed == names - {"SHA256SUMS"}


def test_no_file_names_a_folder_of_the_machine(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "net")
    folders = {str(tmp_path), str(Path.cwd()), str(Path.home()), sys.prefix, str(Path(torch.__file__).parent)}
    for name, content in contents(tmp_path / "net").items():
        assert [folder for folder in folders if folder != "/" and folder.encode() in content] == [], name


def test_any_altered_or_lost_file_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "net", ExportOptions(PLAIN))
    load(tmp_path / "net")
    for name, content in contents(tmp_path / "net").items():
        if name != "SHA256SUMS":
            path = tmp_path / "net" / name
            path.write_bytes(content + b" ")
            with pytest.raises(DataError, match=f"{name} has changed since it was written"):
                load(tmp_path / "net")
            path.unlink()
            with pytest.raises(DataError, match=f"{name} is missing"):
                load(tmp_path / "net")
            path.write_bytes(content)
    (tmp_path / "net" / "SHA256SUMS").write_text(f"{'0' * 64}  ../outside\n")
    with pytest.raises(DataError, match="SHA256SUMS:1 is no checksum of a file beside it"):
        check_sums(tmp_path / "net")


def test_a_trial_is_trained_once_and_exported_the_same_again(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ExportOptions(PLAIN, another(run))
    run.export(tmp_path / "one", options)
    assert f"trial {options.trial} has no stored weights and is trained now, with a budget of 3" in caplog.text
    caplog.clear()
    run.export(tmp_path / "two", options)
    assert caplog.text == ""
    weights = next(
        w for w in (run.folder / "weights").iterdir() if f"{run.trials[another(run)].architecture.key}" in w.name
    )
    weights.unlink()
    run.export(tmp_path / "three", options)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")
    card = (tmp_path / "one" / "card.md").read_text()
    assert f"| trial {options.trial} |" in card
    assert "validation tasks after 3 outer steps" in card
    winner = run.winner
    assert winner is not None
    run.export(tmp_path / "best", ExportOptions(PLAIN, winner.number))
    run.export(tmp_path / "winner", ExportOptions(PLAIN))
    assert contents(tmp_path / "best") == contents(tmp_path / "winner")


@pytest.mark.parametrize(
    "number, changes, message",
    [
        (99, {}, rf"has no trial 99; they go from 0 to {TRIALS - 1}"),
        (-1, {}, "has no trial -1"),
        (1, {"state": "failed", "score": None, "error": "it broke"}, "trial 1 failed: it broke; choose another"),
        (1, {"duplicate_of": 0}, "trial 1 is the same network as trial 0"),
        (1, {"state": "pending", "score": None}, "trial 1 has no result yet"),
    ],
)
def test_a_trial_without_a_result_of_its_own_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, changes: dict[str, Any], message: str
) -> None:
    trials = [replace(trial, **(changes if trial.number == 1 else {})) for trial in run.trials]
    monkeypatch.setattr(Store, "trials", lambda _: trials)
    with pytest.raises(RunError, match=message):
        run.export(tmp_path / "net", ExportOptions(PLAIN, number))
    assert not (tmp_path / "net").exists()


def test_nothing_is_trained_for_a_folder_that_cannot_be_used(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.setattr(exporting, "_measured", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(ConfigError, match="not an empty folder"):
        run.export(tmp_path, ExportOptions(PLAIN, another(run), pretrained=True))


def test_plain_pre_training_gives_other_weights_of_the_same_network(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "net", ExportOptions(PLAIN, pretrained=True))
    ours, plain = (load_file(tmp_path / "net" / f"{name}.safetensors") for name in ("weights", "pretrained"))
    assert {name: t.shape for name, t in ours.items()} == {name: t.shape for name, t in plain.items()}
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in ours.items())
    load(tmp_path / "net").network.load_state_dict(plain)


def test_parts_that_are_not_wanted_are_not_written(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "net", ExportOptions(("card",)))
    names = set(contents(tmp_path / "net"))
    assert names >= {"card.md", "architecture.json", "weights.safetensors", "network.json", "adaptation.json"}
    assert "It was exported without its sources" in (tmp_path / "net" / "card.md").read_text()
    assert not names & {"model.py", "adapt.py", "cell.svg", "cell.dot", "model.onnx"}
    load(tmp_path / "net").fit(torch.rand(4, 1), torch.rand(4, 1))


def test_a_space_that_is_no_file_has_no_new_place(run: Run) -> None:
    with pytest.raises(ConfigError, match="this run's space is 'mlp', which is no file of yours"):
        run.report(space="elsewhere.py")
    with Store.open(run.run_folder.store_path, readonly=True) as store:
        assert resume_checks.config_with(store, None).space.name == "mlp"
