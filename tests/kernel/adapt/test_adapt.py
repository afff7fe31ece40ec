"""Adaptation of exported networks to users' examples: predictions equal the learner's, damaged folders are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.export import exported
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from nas import config as configs
from nas.adapt import Adapted, adapt, adaptation, predictor
from nas.errors import NasError
from nas.export import load, restore
from nas.task import TaskBatch

LEARNER = {"name": "anil", "inner_lr": 0.1, "steps": 2}
IMAGES = {
    "space": {"name": "few-shot-cell", "widths": [8], "depths": [2]},
    "tasks": {"name": "glyphs", "ways": 3, "shots": 2, "queries": 2},
    "evaluator": {"learner": LEARNER},
}
NUMBERS = {
    "space": {"name": "mlp", "widths": [8], "max_depth": 2},
    "tasks": {"name": "sinusoid"},
    "evaluator": {"learner": {**LEARNER, "name": "maml"}, "norm": "none"},
    "final": {"baseline": "mlp40"},
}


@pytest.fixture(scope="module")
def image_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("images") / "net", IMAGES)


@pytest.fixture(scope="module")
def number_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("numbers") / "net", NUMBERS)


def learner_outputs(net: Path, support: tuple[Any, Any], query: tuple[Any, Any]) -> torch.Tensor:
    """Predictions of the learner itself: (steps + 1, queries, outputs)."""
    exported_net = load(net)
    evaluator = configs.build(configs.from_json(exported_net.recipe["config"])).evaluator
    network = evaluator.network(exported_net.architecture, seed=99)
    weights = restore(network, exported_net.weights)
    batch = TaskBatch(*(torch.as_tensor(np.asarray(part))[None] for part in (*support, *query)))
    learner = evaluator.learner
    return learner.adapt(network, weights, batch, exported_net.shape.kind, learner.steps)[:, 0].detach()


def glyph(kind: int, shift: int) -> np.ndarray:
    """White ink on black paper, 28 × 28: a bar, a ring or a cross."""
    image = Image.new("L", (28, 28), 0)
    draw = ImageDraw.Draw(image)
    if kind == 0:
        draw.line((14 + shift, 3, 14 + shift, 25), fill=255, width=2)
    elif kind == 1:
        draw.ellipse((6 + shift, 6, 20 + shift, 20), outline=255, width=2)
    else:
        draw.line((5, 5 + shift, 23, 23), fill=255, width=2)
        draw.line((23, 5 + shift, 5, 23), fill=255, width=2)
    return np.array(image)


NAMES = ("bar", "circle", "x-shape")
Save = Callable[[np.ndarray, Path], None]


def plainly(ink: np.ndarray, path: Path) -> None:
    Image.fromarray(ink).save(path.with_suffix(".png"))


def on_white(ink: np.ndarray, path: Path) -> None:
    Image.fromarray(255 - ink).save(path.with_suffix(".png"))


def transparent(ink: np.ndarray, path: Path) -> None:
    """Black ink on nothing."""
    pixels = np.zeros((28, 28, 4), dtype=np.uint8)
    pixels[..., 3] = ink
    Image.fromarray(pixels).save(path.with_suffix(".png"))


def palette(ink: np.ndarray, path: Path) -> None:
    Image.fromarray(255 - ink).convert("P").save(path.with_suffix(".gif"))


def deep(ink: np.ndarray, path: Path) -> None:
    """16 bits a shade."""
    Image.fromarray(ink.astype(np.uint16) * 257).save(path.with_suffix(".png"))


def turned(ink: np.ndarray, path: Path) -> None:
    """As a telephone stores it: on its side, with a note on how to turn it."""
    image = Image.fromarray(np.rot90(ink))
    notes = image.getexif()
    notes[0x0112] = 6
    image.save(path.with_suffix(".png"), exif=notes)


def large(ink: np.ndarray, path: Path) -> None:
    Image.fromarray(255 - ink).convert("RGB").resize((280, 280), Image.Resampling.NEAREST).save(
        path.with_suffix(".bmp")
    )


def folders(root: Path, save: Save, shifts: tuple[int, ...], names: tuple[str, ...] = NAMES) -> Path:
    for kind, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for shift in shifts:
            save(glyph(kind, shift), root / name / f"{shift}")
    return root


def arrays(shifts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    x = [glyph(kind, shift)[None] / np.float32(255) for kind in range(3) for shift in shifts]
    return np.stack(x).astype(np.float32), np.repeat(np.arange(3), len(shifts))


@pytest.mark.parametrize("save", [plainly, on_white, transparent, palette, deep, turned, large])
def test_predictions_for_image_folders_are_the_learners_own_however_images_are_stored(image_net, tmp_path, save):
    support = folders(tmp_path / "support", save, (0, 2))
    query = folders(tmp_path / "query", save, (-1, 1, 3))
    adapted = adapt(image_net, support, query)
    outputs = learner_outputs(image_net, arrays((0, 2)), arrays((-1, 1, 3)))
    chosen = outputs.argmax(dim=-1)
    truth = torch.arange(3).repeat_interleave(3)
    assert [row.predicted for row in adapted.predictions] == [NAMES[int(k)] for k in chosen[-1]]
    assert [row.truth for row in adapted.predictions] == [NAMES[int(k)] for k in truth]
    assert [Path(row.source).parent.name for row in adapted.predictions] == [NAMES[int(k)] for k in truth]
    assert adapted.curve == pytest.approx((chosen == truth).float().mean(dim=1).tolist())
    assert len(adapted.curve) == LEARNER["steps"] + 1


def test_images_without_labels_are_predicted_without_a_curve(image_net, tmp_path):
    support = folders(tmp_path / "support", plainly, (0, 2))
    labelled = adapt(image_net, support, folders(tmp_path / "query", plainly, (1,)))
    loose = tmp_path / "loose"
    loose.mkdir()
    for kind, name in enumerate(NAMES):
        plainly(glyph(kind, 1), loose / name)
    (loose / "notes.txt").write_text("not an image")
    adapted = adapt(image_net, support, loose)
    assert [row.predicted for row in adapted.predictions] == [row.predicted for row in labelled.predictions]
    assert {row.truth for row in adapted.predictions} == {None}
    assert adapted.curve == ()


def test_without_queries_the_support_itself_is_predicted_and_fewer_classes_will_do(image_net, tmp_path):
    support = folders(tmp_path / "support", on_white, (0, 2), NAMES[:2])
    adapted = adapt(image_net, support, None)
    assert [row.truth for row in adapted.predictions] == ["bar", "bar", "circle", "circle"]
    assert {row.predicted for row in adapted.predictions} <= {"bar", "circle"}


def test_predictions_for_numbers_are_the_learners_own(number_net, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-5, 5, (12, 1)).astype(np.float32)
    table = np.concatenate([x, np.sin(x)], axis=1)
    np.savetxt(tmp_path / "support.csv", table[:5], delimiter=",", fmt="%.9g")
    np.savetxt(tmp_path / "query.csv", table[5:], delimiter=",", fmt="%.9g")
    np.savetxt(tmp_path / "inputs.csv", table[5:, :1], delimiter=",", fmt="%.9g")
    outputs = learner_outputs(number_net, (table[:5, :1], table[:5, 1:]), (table[5:, :1], table[5:, 1:]))
    adapted = adapt(number_net, tmp_path / "support.csv", tmp_path / "query.csv")
    assert [float(row.predicted) for row in adapted.predictions] == pytest.approx(outputs[-1, :, 0].tolist(), rel=2e-3)
    assert [float(row.truth) for row in adapted.predictions] == pytest.approx(table[5:, 1].tolist(), rel=2e-3)
    errors = ((outputs[:, :, 0].numpy() - table[5:, 1]) ** 2).mean(axis=1)
    assert adapted.curve == pytest.approx(errors.tolist(), rel=1e-4)
    assert adapted.predictions[2].source == f"{tmp_path / 'query.csv'}:3"
    unknown = adapt(number_net, tmp_path / "support.csv", tmp_path / "inputs.csv")
    assert [row.predicted for row in unknown.predictions] == [row.predicted for row in adapted.predictions]
    assert (unknown.curve, unknown.predictions[0].truth) == ((), None)
    again = adapt(number_net, tmp_path / "support.csv", None)
    assert len(again.predictions) == 5


def refusal(net: Path, support: Path, query: Path | None = None) -> str:
    with pytest.raises(NasError) as caught:
        adapt(net, support, query)
    assert caught.value.exit_status == 2
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "no rows"),
        ("\n\n", "no rows"),
        ("1\n2\n", "has no targets beside the inputs"),
        ("1,2,3\n", "has 3 columns; the network needs 1 features"),
        ("1,2\n3\n", "line 2 has 1 cells, and line 1 has 2"),
        ("1,nan\n", "line 1, column '1' has no value"),
        ("1,1e300\n", "not finite"),
        ("1;x\n2;y\n", "mine.csv"),
        ("\x00\x01", "no rows below its header"),
        (b"\xff\xfe\x00", "CSV"),
    ],
)
def test_a_file_that_is_no_table_of_numbers_is_refused(number_net, tmp_path, text, part):
    path = tmp_path / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(number_net, path)
    assert part in message
    assert "mine.csv" in message
    good = tmp_path / "good.csv"
    good.write_text("1,2\n3,4\n")
    if text != "1\n2\n":
        assert part in refusal(number_net, good, path)
    assert "none.csv does not exist" in refusal(number_net, tmp_path / "none.csv")
    assert "is a folder; give a file" in refusal(number_net, tmp_path)


def test_numbers_that_adapting_cannot_bear_are_refused(number_net, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("1e30,1e30\n-1e30,1e30\n")
    assert "not finite" in refusal(number_net, path)


def test_support_folders_that_cannot_be_used_are_refused(image_net, tmp_path):
    assert "does not exist" in refusal(image_net, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "has no folders with images" in refusal(image_net, tmp_path / "empty")
    one = folders(tmp_path / "one", plainly, (0,), ("bar",))
    assert "holds 1 class, 'bar'; a network tells at least two apart" in refusal(image_net, one)
    good = folders(tmp_path / "good", plainly, (0,))
    other = folders(tmp_path / "other", plainly, (0,), ("bar", "square"))
    assert "class 'square', which the support set does not: bar, circle, x-shape" in refusal(image_net, good, other)
    assert "has no folders with images" in refusal(image_net, good, tmp_path / "empty")
    assert "does not exist" in refusal(image_net, good, tmp_path / "none")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.bmp"])
def test_files_that_are_no_images_are_refused(image_net, tmp_path, name):
    support = folders(tmp_path / "support", plainly, (0,))
    path = support / "bar" / name
    for content in (b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(20), b"\xff\xd8\xff\xe0" + bytes(30)):
        path.write_bytes(content)
        message = refusal(image_net, support)
        assert f"{path} cannot be read as an image" in message
    path.unlink()
    path.mkdir()
    assert any(name in note for note in adapt(image_net, support).notes)


def test_an_image_with_flipped_bits_is_read_or_refused(image_net, tmp_path):
    support = folders(tmp_path / "support", plainly, (0,))
    path = support / "bar" / "0.png"
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        try:
            assert isinstance(adapt(image_net, support, None), Adapted)
        except NasError:
            refused += 1
    assert refused > 0


def edited(net: Path, folder: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of an export with a changed architecture.json."""
    shutil.copytree(net, folder)
    path = folder / "architecture.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(edit(content) or content))
    for name in ("SHA256SUMS", "network.json"):  # as in exports of earlier versions, which are built by their space
        (folder / name).unlink()
    return folder


def setting(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "edit, part",
    [
        (setting("recipe", value={}), "the config is None"),
        (setting("recipe", value="x"), "'recipe' must be an object"),
        (setting("recipe", "config", value="garbage"), "the config is 'garbage'"),
        (setting("recipe", "config", value=[1]), "the config is [1]"),
        (setting("recipe", "config", value={}), "'space' is missing"),
        (setting("recipe", "config", "space", "name", value="mpl"), "did you mean 'mlp'"),
        (setting("recipe", "config", "space", "widths", value=[9]), "are they of one architecture"),
        (setting("recipe", "config", "space", "widths", value=[10**12]), "cannot be used"),
        (setting("recipe", "config", "space", "max_depth", value="x"), "valid integer"),
        (setting("recipe", "config", "tasks", value={"name": "glyphs"}), "the recipe's tasks are"),
        (setting("recipe", "config", "evaluator", "learner", value={"name": "maml", "steps": -1}), "steps"),
        (setting("architecture", "picks", value={"depth": 0}), "is not the architecture's"),
        (setting("task", "num_outputs", value=7), "the recipe's tasks are"),
        (setting("task", value=None), "'task' must hold"),
        (setting("format", value=99), "format"),
        (lambda content: [1], "format"),
    ],
)
def test_an_edited_description_is_refused_in_one_line(number_net, tmp_path, edit, part):
    (tmp_path / "mine.csv").write_text("1,2\n3,4\n")
    message = refusal(edited(number_net, tmp_path / "net", edit), tmp_path / "mine.csv")
    assert part in message
    assert "architecture.json" in message or "weights.safetensors" in message


@pytest.mark.parametrize("picks", [{}, {"depth": 99}, {"depth": 0, "width0": 0, "activation": 0, "other": 0}])
def test_picks_that_the_space_does_not_know_are_refused(number_net, tmp_path, picks):
    from nas.architecture import Architecture

    def edit(content: dict[str, Any]) -> None:
        content["architecture"]["picks"] = picks
        content["key"] = Architecture("mlp", picks).key

    (tmp_path / "mine.csv").write_text("1,2\n3,4\n")
    message = refusal(edited(number_net, tmp_path / "net", edit), tmp_path / "mine.csv")
    assert "architecture.json cannot be used: choice " in message


def test_a_folder_that_is_no_export_is_refused(number_net, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("1,2\n3,4\n")
    assert "is missing" in refusal(tmp_path / "none", mine)
    assert "is missing" in refusal(mine, mine)
    for name in ("architecture.json", "weights.safetensors"):
        net = tmp_path / name.split(".")[0]
        shutil.copytree(number_net, net)
        (net / name).write_bytes(b"\xff\x00garbage")
        assert f"{name} has changed since it was written" in refusal(net, mine)
        (net / "SHA256SUMS").unlink()
        assert name in refusal(net, mine)
        (net / name).unlink()
        assert f"{name} is missing" in refusal(net, mine)


def test_the_network_that_adapts_has_the_weights_of_the_file(number_net, tmp_path):
    (tmp_path / "mine.csv").write_text("1,2\n3,4\n")
    before = adapt(number_net, tmp_path / "mine.csv", None)
    net = tmp_path / "net"
    shutil.copytree(number_net, net)
    weights = {name: 2 * tensor for name, tensor in load_file(net / "weights.safetensors").items()}
    save_file(weights, net / "weights.safetensors", {"format": "pt"})
    (net / "SHA256SUMS").unlink()
    assert adapt(net, tmp_path / "mine.csv", None) != before


def test_a_loaded_export_offers_the_network_and_adapts_it_again_and_again(number_net, tmp_path):
    """Adapting changes neither the network nor the parameters that the next adaptation starts from."""
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("1,2\n3,4\n")
    other.write_text("1,-2\n3,-4\n")
    loaded = predictor.load(str(number_net))
    before = {name: parameter.clone() for name, parameter in loaded.network.state_dict().items()}
    first, second, again = (adaptation.adapt_to(loaded, *paths).result for paths in ((one,), (one, other), (one,)))
    assert first == again == adapt(number_net, one)
    assert second == adapt(number_net, one, other)
    assert all(torch.equal(before[name], after) for name, after in loaded.network.state_dict().items())
