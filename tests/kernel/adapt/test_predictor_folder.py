"""Predictors by `nas.load`: fitted from Python, saved, read again, and used where this project is not to be had."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nas
from nas import config as configs
from nas.data.preprocessing import ImagePreprocessing
from nas.errors import DataError
from nas.export import export
from nas.export.writing import Extras
from nas.space import sample

ALONE = """
import json, sys
class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "nas":
            raise ImportError(name)
sys.meta_path.insert(0, Ban())
sys.path.insert(0, sys.argv[1])
from adapt import load
predicted = load().predict(sys.argv[2:])
print(json.dumps([predicted.labels, predicted.probabilities.tolist()]))
"""


def exported(folder: Path, learner: str) -> Path:
    """An export of an untrained network with everything that adapts it."""
    data = {
        "space": {"name": "few-shot-cell", "widths": [8], "depths": [2]},
        "tasks": {"name": "glyphs", "ways": 3, "shots": 2, "queries": 2},
        "evaluator": {"learner": {"name": learner}},
    }
    config = configs.from_json(data)
    measurer = configs.build(config).evaluator
    architecture = sample(configs.build(config).space, random.Random(1))
    network = measurer.network(architecture, seed=5)
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    rule = measurer.learner.adaptation(network, parameters, "classification")
    export(
        folder,
        network=network,
        architecture=architecture,
        shape=measurer.tasks.shape,
        recipe={"run": "toy", "config": config.to_json()},
        extras=Extras(rule=rule, preprocessing=ImagePreprocessing(1, 28, 28)),
    )
    return folder


IMAGES = np.random.default_rng(0).integers(0, 256, (8, 40, 31), dtype=np.uint8)
LABELS = ["a", "a", "b b", "b b", "ü", "ü"]


@pytest.fixture(scope="module", params=["protonet", "anil", "maml"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp(request.param) / "net", request.param)


def test_a_saved_predictor_predicts_the_same_with_and_without_this_project(folder, tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(2)]
    for image, path in zip(IMAGES[6:], paths, strict=True):
        Image.fromarray(image).save(path)
    fitted = nas.load(folder).fit(list(IMAGES[:6]), LABELS).with_threshold(-1e9)
    expected = fitted.predict(paths)
    fitted.save(tmp_path / "predictor")
    again = nas.load(tmp_path / "predictor")
    assert again.threshold == -1e9
    assert again.fitted.classes == ("a", "b b", "ü")
    assert torch.equal(again.predict(paths).probabilities, expected.probabilities)
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "predictor"), *paths]
    labels, probabilities = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert tuple(labels) == expected.labels
    torch.testing.assert_close(torch.tensor(probabilities), expected.probabilities, rtol=1e-5, atol=1e-6)
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "predictor", capture_output=True)
    assert sums.returncode == 0


def test_arrays_tensors_images_and_paths_give_one_prediction(folder, tmp_path):
    predictor = nas.load(folder).fit(IMAGES[:6], LABELS)
    Image.fromarray(IMAGES[6]).save(tmp_path / "6.png")
    forms = [IMAGES[6], torch.from_numpy(IMAGES[6]), Image.fromarray(IMAGES[6]), tmp_path / "6.png"]
    results = [predictor.predict([form]).probabilities for form in forms]
    assert all(torch.equal(result, results[0]) for result in results)


def test_a_folder_that_is_not_empty_is_refused_and_a_changed_file_is_named(folder, tmp_path):
    fitted = nas.load(folder).fit(IMAGES[:6], LABELS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(ValueError, match="not an empty folder"):
        fitted.save(tmp_path / "full")
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["mine"]
    fitted.save(tmp_path / "new")
    (tmp_path / "new" / "predictor.json").write_text("{}")
    with pytest.raises(DataError, match=r"predictor\.json has changed"):
        nas.load(tmp_path / "new")


def test_classes_are_added_and_removed_after_a_save(tmp_path):
    network = nas.load(exported(tmp_path / "net", "protonet"))
    network.fit(IMAGES[:4], LABELS[:4]).save(tmp_path / "two")
    grown = nas.load(tmp_path / "two").add("ü", IMAGES[4:6])
    anew = network.fit(IMAGES[:6], LABELS)
    torch.testing.assert_close(grown.predict(IMAGES).scores, anew.predict(IMAGES).scores, rtol=1e-6, atol=1e-6)
    grown.remove("a").save(tmp_path / "left")
    left = nas.load(tmp_path / "left").predict(IMAGES)
    again = network.fit(IMAGES[2:6], LABELS[2:]).predict(IMAGES)
    torch.testing.assert_close(left.scores, again.scores, rtol=1e-6, atol=1e-6)


def test_the_source_in_a_folder_is_never_executed(tmp_path):
    nas.load(exported(tmp_path / "net", "protonet")).fit(IMAGES[:6], LABELS).save(tmp_path / "predictor")
    for name in ("net", "predictor"):
        (tmp_path / name / "SHA256SUMS").unlink()
        for source in ("model.py", "adapt.py", "preprocessing.py"):
            (tmp_path / name / source).write_text("raise SystemExit(3)")
        assert nas.load(tmp_path / name).rule["method"] == "prototypes"
