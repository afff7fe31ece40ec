"""Check of a run's files: each finding says what to do, and a repaired copy resumes to the full result."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.launch import Quiet, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures
from safetensors.torch import load_file

from nas.cli import main
from nas.errors import RunError, StoreError
from nas.runs import folder, launch
from nas.runs.doctor import Finding, findings, repair
from nas.runs.folder import RunFolder, existing_run
from nas.store import Store, file_system
from nas.store.file_system import FileSystem
from nas.store.lock import lock_path
from nas.store.rows import write_columns


@pytest.fixture(name="run")
def finished_run(inline: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that is done, with a random-search control. It is made once, and copied for each test."""
    run, kept = folder.new_run("a", "toy"), tmp_path_factory.getbasetemp() / "finished"
    if not kept.exists():
        launch.start(toy(search={"control": "random"}), run, Quiet())
        shutil.copytree(run.folder, kept)
    else:
        shutil.copytree(kept, run.folder)
    return run


def faults(run: RunFolder) -> list[Finding]:
    return [each for each in findings(run) if each.fault]


def statement(run: RunFolder, text: str) -> None:
    with closing(sqlite3.connect(run.store_path)) as connection:
        connection.execute(text)
        connection.commit()


def files(run: RunFolder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()}


def checked_copy(run: RunFolder) -> tuple[RunFolder, list[str]]:
    """A repaired copy. The run stays as it is, and the copy has no fault and resumes to the run's first result."""
    before = files(run)
    copy, missing = repair(run, "copy")
    assert files(run) == before
    assert faults(copy) == []
    assert launch.resume(copy, Quiet()).state == "done"
    assert [path.name for path in run.folder.parent.iterdir() if path.name.startswith(".")] == []
    return copy, missing


def test_a_sound_run_has_no_findings_and_its_copy_is_the_same(run: RunFolder) -> None:
    whole = result(run)
    assert findings(run) == []
    copy, missing = checked_copy(run)
    assert missing == []
    assert result(copy) == whole
    assert result(copy.control)[:3] == result(run.control)[:3]


@pytest.mark.parametrize(
    ("change", "part", "text"),
    [
        ("UPDATE trials SET seed = 9 WHERE number = 2", "trial 2 cannot be read", "1 later trials"),
        ("DELETE FROM trials WHERE number = 2", "trial 2 cannot be read", "1 later trials"),
        ("UPDATE records SET value = '{}' WHERE key = 'final'", "record 'final' cannot be read", "record 'final'"),
    ],
)
def test_the_copy_of_a_damaged_run_resumes_to_its_result(run: RunFolder, change: str, part: str, text: str) -> None:
    whole = result(run)
    statement(run, change)
    [found] = faults(run)
    assert (found.part, part in found.text, "nas doctor a --repair COPY" in found.text) == ("store", True, True)
    copy, missing = checked_copy(run)
    assert any(text in line for line in missing)
    assert result(copy)[:3] == whole[:3]
    assert result(copy)[3]["winner"] == whole[3]["winner"]


def test_a_damaged_control_is_searched_again(run: RunFolder) -> None:
    whole = result(run)
    statement(run.control, "DELETE FROM trials WHERE number = 0")
    assert [each.part for each in faults(run)] == ["control"]
    copy, missing = checked_copy(run)
    assert any("the control's trial 0" in line for line in missing)
    assert result(copy)[:3] == whole[:3]


@pytest.mark.parametrize("damage", [None, b"torn"])
def test_the_winners_weights_are_trained_again_in_the_copy(run: RunFolder, damage: bytes | None) -> None:
    whole, final = result(run), folder.final_of
    with Store.open(run.store_path, readonly=True) as store:
        stored = final(store)
    assert stored is not None
    assert stored.winner is not None
    path = run.weights(stored.winner.architecture, stored.winner.weights_seed or 0)
    tensors = load_file(path)
    path.unlink()
    if damage:
        path.write_bytes(damage)
    [found] = faults(run)
    assert found.part == "weights"
    assert ("damaged" if damage else "missing") in found.text
    copy, _ = checked_copy(run)
    again = load_file(copy.folder / "weights" / path.name)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
    assert result(copy) == whole


def test_other_damaged_weights_are_left_out(run: RunFolder) -> None:
    bad = run.folder / "weights" / "0123456789abcdef-seed1.safetensors"
    bad.write_bytes(b"torn")
    (bad.parent / "link-seed1.safetensors").symlink_to(next(bad.parent.glob("*.safetensors")))
    assert [each.text for each in faults(run)] == [
        f"{bad.name} is damaged; remove it: where it is needed it is trained again"
    ]
    copy, missing = checked_copy(run)
    assert missing == [bad.name]
    assert not (copy.folder / "weights" / "link-seed1.safetensors").exists()


def test_a_run_whose_config_is_lost_is_not_repaired(run: RunFolder) -> None:
    statement(run, "UPDATE records SET value = '{}' WHERE key = 'meta'")
    assert any("config cannot be read; put back a copy" in each.text for each in faults(run))
    with pytest.raises(StoreError, match="cannot be repaired, since its run's config"):
        repair(run, "copy")
    run.store_path.write_bytes(b"\xff" * 5000)
    assert any("nothing of it can be read" in each.text for each in faults(run))
    with pytest.raises(StoreError, match="nothing of it can be read"):
        repair(run, "copy")
    assert [path.name for path in run.folder.parent.iterdir()] == ["a"]


def test_a_run_that_is_written_is_not_repaired_and_names_who_writes_it(run: RunFolder) -> None:
    with Store.open(run.store_path):
        [found] = findings(run)
        assert (found.part, found.fault) == ("lock", False)
        assert "is being written by process" in found.text
        with pytest.raises(RunError, match="in use by process"):
            repair(run, "copy")
    with pytest.raises(RunError, match="exists already"):
        repair(run, "a")


def test_a_process_that_did_not_close_the_run_and_a_network_file_system_are_noted(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock_path(run.store_path).write_text(json.dumps({"host": "node7", "pid": 12, "started": 1.0}))
    monkeypatch.setattr(file_system, "file_system", lambda _path: FileSystem("fuse.sshfs"))
    lock, system = findings(run)
    assert not lock.fault
    assert "process 12 on node7" in lock.text
    assert "`nas resume a` continues it" in lock.text
    assert (system.part, system.fault) == ("file system", False)
    assert "use it from one machine only" in system.text
    launch.resume(run, Quiet())
    assert system.text in caplog.text


def test_scores_of_two_protocols_changed_files_and_another_version_are_found(run: RunFolder) -> None:
    with Store.open(run.store_path) as store:
        store.put("meta", {**store.meta, "files": {"/nowhere/mine.py": "0"}})
    [found] = faults(run)
    assert (found.part, "mine.py" in found.text) == ("files", True)
    with closing(sqlite3.connect(run.store_path)) as connection:
        [columns] = connection.execute("SELECT * FROM trials WHERE number = 0").fetchall()
        connection.execute("DELETE FROM trials WHERE number = 0")
        score = json.loads(columns[5])
        write_columns(connection, (*columns[:5], json.dumps({**score, "protocol": {"ways": 9}}), *columns[6:-1]))
        connection.commit()
    assert [each.part for each in faults(run)] == ["protocol", "files"]
    statement(run, "PRAGMA user_version = 99")
    assert ["schema version 99" in each.text for each in faults(run)] == [True]


def test_the_command_says_what_is_found_and_where_the_copy_is(
    run: RunFolder, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["nas", "doctor", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    assert call("a") == (0, "a is sound.\n")
    statement(run, "DELETE FROM trials WHERE number = 1")
    status, out = call("a")
    assert status == 1
    assert out.startswith("fault: store: trial 1 cannot be read; have a repaired copy written: nas doctor a --repair")
    status, out = call("a", "--repair", "copy")
    assert status == 0
    assert "is a repaired copy; continue it with: nas resume copy\n  without trial 1\n" in out
    status, out = call("a", "--json")
    document = json.loads(out)
    assert (status, document["sound"], document["findings"][0]["part"]) == (1, False, "store")
    assert existing_run("copy").store_path.exists()
    shutil.rmtree(existing_run("copy").folder)
    assert Path(existing_run("a").folder).exists()
