"""An export of a user's own search space is adapted where the file of the space is not to be had."""

import json
from pathlib import Path

from helpers.cli import run
from helpers.predictors import adaptable

import nas

SPACE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Own:
    name = "own"

    def decide(self, choose):
        return choose("width", [4])

    def build(self, spec, task):
        from torch import nn
        inner = nn.Conv2d(task.input_shape[0], spec, 3, stride=3), nn.ReLU(), nn.Flatten()
        return nn.Sequential(*inner, nn.Linear(spec * 81, task.num_outputs))
"""


def test_an_export_and_its_predictor_need_no_source_of_the_space(tmp_path: Path):
    from PIL import Image

    source = tmp_path / "own_space.py"
    source.write_text(SPACE)
    net = adaptable(tmp_path / "net", "anil", space=f"{source}:Own")
    source.unlink()
    for shade, name in ((0, "black"), (90, "grey"), (255, "white")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (28, 28), shade + number * (1 if shade < 255 else 0)).save(
                tmp_path / "images" / name / f"{number}.png"
            )
    arguments = ("--support", "images", "--query", "images", "--out", "predictor", "--json")
    adapted = run(tmp_path, "-m", "nas", "adapt", str(net), *arguments)
    assert adapted.returncode == 0, adapted.stderr
    for file in net.iterdir():
        file.unlink()
    labels = [row["predicted"] for row in json.loads(adapted.stdout)["predictions"]]
    images = sorted((tmp_path / "images").glob("*/*.png"))
    assert list(nas.load(tmp_path / "predictor").predict(images).labels) == labels
