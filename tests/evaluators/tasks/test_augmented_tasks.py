"""Augmentation of training tasks: of training alone, the same in any batch, and its place in configs and runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.images import write_classes
from helpers.launch import Crash, crash_at, in_this_process, own_runs, toy  # noqa: F401  # fixtures

from nas import config as configs
from nas.augmentation_policy import AugmentationPolicy, AugmentationStep, SubPolicy
from nas.config import parts
from nas.config.paths import absolute_paths, data_files, without_data_folders
from nas.errors import ConfigError, DataError
from nas.evaluators.augmentation import policies
from nas.evaluators.augmentation.controls import NoAugmentation, RandAugment, RandomPolicy, random_policy
from nas.evaluators.augmentation.policies import PolicyAugmentation, PolicyFile
from nas.evaluators.meta_training import bank_digest
from nas.evaluators.tasks import folder_classes, image_folder
from nas.evaluators.tasks.augmented import STREAM, augmented
from nas.evaluators.tasks.counter_hash import fold, task_keys, uniform
from nas.evaluators.tasks.glyphs import Glyphs
from nas.evaluators.tasks.image_folder import ImageFolder
from nas.runs import folder as runs
from nas.runs import launch
from nas.testing import check_task_family

CPU = torch.device("cpu")
POLICY = random_policy(25, 0)


def equal(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("support_x", "query_x"))


def forget() -> None:
    """What a process keeps of data for its life."""
    folder_classes.folder_images.cache_clear()
    image_folder._data.cache_clear()
    bank_digest._digest.cache_clear()
    policies._read.cache_clear()


@pytest.fixture(name="folder")
def nine_classes(tmp_path: Path) -> Path:
    forget()
    return write_classes(tmp_path / "images", [f"c{number}" for number in range(9)])


# --- tasks -----------------------------------------------------------------------------------------------------------


def test_each_image_is_augmented_by_random_numbers_of_its_task_and_place():
    x = torch.randint(0, 256, (3, 2, 4, 1, 9, 8), generator=torch.Generator().manual_seed(0)).float() / 255
    keys = task_keys(seed=0, split="train", indices=range(3), device=CPU)
    changed = augmented(x, keys, PolicyAugmentation(POLICY))
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
    for task in range(3):
        for place in range(8):
            uniforms = uniform(fold(fold(keys[task], STREAM), place), policies.POLICY_DRAWS)[None]
            image = (x[task].flatten(0, 1)[place : place + 1] * 255).round().to(torch.uint8)
            expected = PolicyAugmentation(POLICY)(image, uniforms)[0].float() / 255
            assert torch.equal(changed[task].flatten(0, 1)[place], expected)


def test_augmentation_that_changes_nothing_leaves_tasks_as_they_are():
    plain, same = Glyphs(), Glyphs(augmentation=NoAugmentation())
    assert equal(plain.tasks("train", range(4), CPU), same.tasks("train", range(4), CPU))


def test_a_task_is_augmented_alike_in_any_batch_and_only_in_training():
    plain, changed = Glyphs(), Glyphs(augmentation=PolicyAugmentation(POLICY))
    together = changed.tasks("train", range(6), CPU)
    for number in range(6):
        alone = changed.tasks("train", [number], CPU)
        assert torch.equal(alone.support_x[0], together.support_x[number])
        assert torch.equal(alone.query_x[0], together.query_x[number])
    original = plain.tasks("train", range(6), CPU)
    assert not equal(original, together)
    assert torch.equal(original.query_y, together.query_y)
    assert torch.equal(original.classes, together.classes)
    for split in ("validation", "test"):
        assert equal(plain.tasks(split, range(3), CPU), changed.tasks(split, range(3), CPU))


def test_laws_of_task_families_with_an_augmentation(folder: Path) -> None:
    check_task_family(Glyphs(augmentation=PolicyAugmentation(POLICY)))
    check_task_family(ImageFolder(path=folder, ways=2, queries=2, flip=True, augmentation=RandAugment()))


def test_a_folder_is_augmented_after_its_other_changes(folder: Path) -> None:
    options: dict[str, Any] = {"path": folder, "ways": 2, "queries": 2}
    invert = AugmentationPolicy(
        (SubPolicy(AugmentationStep("Invert", 1.0, 0.0), AugmentationStep("Invert", 0.0, 0.0)),)
    )
    moved = ImageFolder(**options, flip=True, flip_vertical=True)
    both = ImageFolder(**options, flip=True, flip_vertical=True, augmentation=PolicyAugmentation(invert))
    for split in ("train", "validation"):
        one, other = moved.tasks(split, range(5), CPU), both.tasks(split, range(5), CPU)
        expected = 1 - one.support_x if split == "train" else one.support_x
        assert torch.allclose(other.support_x, expected, atol=1e-6)


def test_the_description_is_as_before_without_and_has_the_augmentation_with_one(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    POLICY.write(path)
    plain = Glyphs().describe()
    assert "augmentation" not in plain
    assert Glyphs(augmentation=PolicyFile(path)).describe() == {
        **plain,
        "augmentation": PolicyAugmentation(POLICY).describe(),
    }
    of_folder = ImageFolder(path=folder, ways=2, queries=2)
    assert "augmentation" not in of_folder.describe()
    described = ImageFolder(path=folder, ways=2, queries=2, augmentation=RandomPolicy(seed=3)).describe()
    assert described == {**of_folder.describe(), "augmentation": RandomPolicy(seed=3).describe()}


def test_grey_images_are_warned_of_by_the_check_of_the_family(caplog: pytest.LogCaptureFixture) -> None:
    color = AugmentationStep("Color", 1.0, 0.0)
    with caplog.at_level(logging.WARNING):
        Glyphs(augmentation=PolicyAugmentation(AugmentationPolicy((SubPolicy(color, color),)))).check()
    assert [record.getMessage() for record in caplog.records] == [
        "policy: Color needs images in colour and leaves grey ones as they are"
    ]


# --- configs ---------------------------------------------------------------------------------------------------------


def config_of(tasks: dict[str, Any]) -> configs.Config:
    config = toy(evaluator={"learner": {"name": "anil", "inner_lr": 0.01, "steps": 1}, "norm": "none"})
    return configs.from_json({**config.to_json(), "tasks": tasks})


def refusal(tasks: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parts.build(config_of(tasks))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_augmentation_is_named_alone_or_as_a_table(tmp_path: Path) -> None:
    by_name = parts.tasks_of(config_of({"name": "glyphs", "augmentation": "rand-augment"}))
    assert by_name == Glyphs(augmentation=RandAugment())
    table = {"name": "rand-augment", "operations": 3, "strength": 0.5}
    assert parts.tasks_of(config_of({"name": "glyphs", "augmentation": table})) == Glyphs(
        augmentation=RandAugment(operations=3, strength=0.5)
    )
    assert parts.tasks_of(config_of({"name": "glyphs"})) == Glyphs()


def test_a_config_in_toml_has_a_table_of_the_augmentation(tmp_path: Path) -> None:
    source = tmp_path / "study.toml"
    source.write_text(
        '[space]\nname = "few-shot-cell"\n[tasks]\nname = "glyphs"\n[tasks.augmentation]\n'
        'name = "random-policy"\nsub_policies = 5\n'
    )
    config = configs.load(str(source))
    assert parts.tasks_of(config) == Glyphs(augmentation=RandomPolicy(sub_policies=5))
    assert configs.from_json(config.to_json()) == config
    source.write_text(source.read_text().replace("= 5", "= 0"))
    with pytest.raises(ConfigError, match=r"study\.toml:7: random-policy sub_policies = 0"):
        parts.build(configs.load(str(source)))


@pytest.mark.parametrize(
    "augmentation, words",
    [
        ("rand-augmnt", "did you mean 'rand-augment'?"),
        ({"name": "rand-augment", "strenght": 0.1}, "did you mean 'strength'?"),
        ({"name": "rand-augment", "strength": 2}, "rand-augment strength = 2"),
        ({"name": "rand-augment", "operations": "two"}, "operations"),
    ],
)
def test_unknown_augmentations_and_options_are_refused(augmentation: Any, words: str) -> None:
    assert words in refusal({"name": "glyphs", "augmentation": augmentation})


def test_a_family_without_images_takes_no_augmentation() -> None:
    message = refusal({"name": "sinusoid", "augmentation": "trivial-augment"})
    assert message == "tasks 'sinusoid' takes no augmentation; leave it out"


def test_the_file_of_a_policy_is_data_of_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of({"name": "glyphs", "augmentation": {"name": "policy", "path": "mine/policy.json"}})
    absolute = absolute_paths(config)
    assert data_files(absolute) == [str(tmp_path / "mine" / "policy.json")]
    assert without_data_folders(absolute).to_json()["tasks"]["augmentation"]["path"] == "policy.json"
    with pytest.raises(DataError, match=r"augmentation policy .*mine/policy\.json does not exist"):
        parts.tasks_of(absolute).check()


# --- runs ------------------------------------------------------------------------------------------------------------


def run_config(folder: Path, policy: Path) -> configs.Config:
    tasks = {"name": "image-folder", "path": str(folder), "ways": 2, "queries": 2}
    return config_of({**tasks, "augmentation": {"name": "policy", "path": str(policy)}})


def test_a_run_is_continued_only_with_the_policy_that_it_was_started_with(
    inline: None, folder: Path, runs_here: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    policy = folder.parent / "policy.json"
    POLICY.write(policy)
    with pytest.raises(Crash):
        launch.start(run_config(folder, policy), runs.run_of("a"), crash_at(2))
    random_policy(25, 1).write(policy)
    forget()
    ended = call("resume", "a")
    assert (ended.status, ended.out) == (2, "")
    *warnings, refusal = ended.err.splitlines()
    assert str(policy) in refusal
    assert "has changed since this run was started (tasks.augmentation.digest was '" in refusal
    assert warnings == ["warning: policy: Color needs images in colour and leaves grey ones as they are"]
    POLICY.write(policy)
    forget()
    assert call("resume", "a").status == 0


def test_a_run_whose_policy_is_missing_ends_in_one_line(
    inline: None, folder: Path, runs_here: Path, call: Callable[..., Said]
) -> None:
    source = folder.parent / "study.toml"
    source.write_text(
        f'[space]\nname = "conv-chain"\n[tasks]\nname = "image-folder"\npath = "{folder}"\nways = 2\nqueries = 2\n'
        '[tasks.augmentation]\nname = "policy"\npath = "none.json"\n[search]\nworkers = 1\ndevice = "cpu"\n'
    )
    ended = call("search", str(source))
    assert (ended.status, ended.out) == (2, "")
    assert "there is no file or folder 'none.json'" in ended.err
    assert ended.err.count("\n") == 1
