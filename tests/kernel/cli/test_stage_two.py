"""`nas adapt` and `nas predict`: what they print, write and refuse."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Said, command_here  # noqa: F401  # a fixture
from helpers.predictors import adaptable
from PIL import Image

NAMES = ("1", "b b", "ü")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adaptable(tmp_path_factory.mktemp("net") / "net", "protonet")


@pytest.fixture(scope="module")
def head_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adaptable(tmp_path_factory.mktemp("head") / "net", "anil")


@pytest.fixture(scope="module")
def line_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adaptable(tmp_path_factory.mktemp("line") / "net", "maml", numbers=True)


def image(kind: int, number: int) -> Image.Image:
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[4 + number : 24, 8 * kind + 4 : 8 * kind + 7] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def support(tmp_path: Path) -> Path:
    return folders(tmp_path / "support", range(3))


def folders(root: Path, numbers: range, names: tuple[str, ...] = NAMES) -> Path:
    for kind, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in numbers:
            image(kind, number).save(root / name / f"{number}.png")
    return root


def rows(file: Path) -> list[list[str]]:
    return list(csv.reader(file.read_text(encoding="utf-8").splitlines()))


def refused(said: Said, part: str) -> None:
    assert said.status == 2
    assert said.out == ""
    assert said.err.startswith("nas: ")
    assert said.err.count("\n") == 1
    assert part in said.err


def test_without_queries_leave_one_out_is_printed_with_its_interval(call, net, support):
    said = call("adapt", str(net), "--support", str(support))
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert len([line for line in lines if "labelled" in line]) == 9
    assert "accuracy: " in lines[-1]
    assert "95 % interval" in lines[-1]
    assert lines[-1].endswith("9 examples, leave-one-out on the support set")


def test_labelled_queries_give_an_accuracy_and_others_a_table_of_probabilities(call, net, support, tmp_path):
    query = folders(tmp_path / "query", range(4, 6))
    document = json.loads(call("adapt", str(net), "--support", str(support), "--query", str(query), "--json").out)
    assert document["quality"]["examples"] == len(document["predictions"]) == 6
    assert not document["quality"]["leave_one_out"]
    assert document["curve"][-1] == document["quality"]["value"]
    loose = tmp_path / "loose"
    loose.mkdir()
    image(0, 5).save(loose / "a, b.png")
    file = tmp_path / "out.csv"
    said = call("adapt", str(net), "--support", str(support), "--query", str(loose), "--predictions", str(file))
    assert (said.status, "accuracy" in said.out) == (0, False)
    header, row = rows(file)
    assert header == ["file", "predicted", "truth", *NAMES]
    assert row[0] == str(loose / "a, b.png")
    assert row[2] == ""
    assert sum(map(float, row[3:])) == pytest.approx(1, abs=1e-4)
    assert row[1] == NAMES[int(np.argmax([float(n) for n in row[3:]]))]


def test_a_saved_predictor_predicts_what_the_adaptation_did(call, net, support, tmp_path):
    query = folders(tmp_path / "query", range(4, 6))
    out = tmp_path / "predictor"
    adapted = call("adapt", str(net), "--support", str(support), "--query", str(query), "--out", str(out), "--json")
    predicted = call("predict", str(out), str(query), "--json")
    assert predicted.status == 0
    one, other = json.loads(adapted.out)["predictions"], json.loads(predicted.out)["predictions"]
    assert [row["predicted"] for row in one] == [row["predicted"] for row in other]
    np.testing.assert_allclose(
        [row["probabilities"] for row in one], [row["probabilities"] for row in other], atol=1e-6
    )
    file = query / "ü" / "4.png"
    assert f"{file}: " in call("predict", str(out), str(file)).out


def test_an_unreadable_file_is_named_and_the_others_are_predicted(call, net, support, tmp_path):
    out, query = tmp_path / "predictor", tmp_path / "query"
    call("adapt", str(net), "--support", str(support), "--out", str(out))
    query.mkdir()
    image(0, 1).save(query / "a.png")
    (query / "b.png").write_bytes(b"\x89PNG")
    os.mkfifo(query / "c.png")
    image(1, 1).save(query / "d.png")
    said = call("predict", str(out), str(query), str(tmp_path / "none"))
    assert said.status == 1
    assert [line.split(": ")[0] for line in said.out.splitlines()] == [str(query / name) for name in ("a.png", "d.png")]
    assert "b.png cannot be read as an image" in said.err
    assert "none does not exist" in said.err
    refused(call("predict", str(out), str(query / "b.png")), "b.png cannot be read as an image")
    refused(call("predict", str(net), str(query)), "is an export, which is not adapted yet")


def test_reject_prints_what_thresholds_do_and_is_kept_with_the_predictor(call, net, support, tmp_path):
    out = tmp_path / "predictor"
    arguments = ("adapt", str(net), "--support", str(support), "--reject")
    document = json.loads(call(*arguments, "0", "--out", str(out), "--json").out)
    assert document["reject"]["false_accepts"] == 0
    for row in document["predictions"]:
        assert (row["predicted"] == "unknown") == (row["score"] < document["reject"]["threshold"])
    for row in json.loads(call("predict", str(out), str(support), "--json").out)["predictions"]:
        assert (row["predicted"] == "unknown") == (row["score"] < document["reject"]["threshold"])
    shown = call(*arguments, "0.1").out
    assert "← --reject" in shown
    assert "9 known and 9 unknown examples" in shown
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    image(0, 15).save(strangers / "x.png")
    assert "9 known and 1 unknown" in call(*arguments, "0.1", "--unknowns", str(strangers)).out


def test_compare_puts_simpler_ways_beside_it_on_the_same_examples(call, net, support, tmp_path):
    query = folders(tmp_path / "query", range(4, 6))
    for more in ((), ("--query", str(query))):
        arguments = ("adapt", str(net), "--support", str(support), *more, "--compare")
        document = json.loads(call(*arguments, "--json").out)
        ours, scratch, pretrained, nearest = document["comparison"]
        assert ours["accuracy"] == document["quality"]["value"]
        assert nearest["accuracy"] == 1
        assert 0 <= scratch["accuracy"] <= 1
        assert (pretrained["accuracy"], "nas export" in pretrained["note"]) == (None, True)
        low, high = nearest["difference"]
        assert low < ours["accuracy"] - nearest["accuracy"] < high
        shown = call(*arguments).out
        assert "nearest neighbour of the inputs " in shown
        assert "difference " in shown


def test_other_numbers_of_classes_and_odd_support_sets_are_said(call, head_net, support):
    net = head_net
    shutil.rmtree(support / "ü")
    image(0, 0).save(support / "b b" / "same.png")
    said = call("adapt", str(net), "--support", str(support))
    assert said.status == 0
    assert "same.png are the same input, in two classes" in said.err
    assert "the network was trained with 3, so its head is rebuilt" in said.err
    Image.new("RGB", (50, 40)).save(support / "1" / "colour.png")
    said = call("adapt", str(net), "--support", str(support))
    assert "1 resized; 1 in colour, converted to grey" in said.err


def test_numbers_are_predicted_as_values(call, line_net, tmp_path):
    (tmp_path / "mine.CSV").write_bytes("\ufeffx;y\n0;1\n1;2\n2;1,5\n".replace(",", ".").encode())
    file, out = tmp_path / "out.csv", tmp_path / "predictor"
    said = call(
        *("adapt", str(line_net), "--support", str(tmp_path / "mine.CSV"), "--predictions", str(file)),
        *("--out", str(out)),
    )
    assert said.status == 0
    assert "mean squared error: " in said.out
    assert len(rows(file)) == 4
    assert rows(file)[0] == ["file", "predicted", "truth", "value"]
    (tmp_path / "more.csv").write_text("5\n6\n")
    assert len(call("predict", str(out), str(tmp_path / "more.csv")).out.splitlines()) == 2
    (tmp_path / "odd.csv").write_text("5\nx\n")
    refused(call("predict", str(out), str(tmp_path / "odd.csv")), "odd.csv")
    refused(call("adapt", str(line_net), "--support", str(tmp_path / "mine.CSV"), "--compare"), "is for classes")


def test_what_cannot_be_used_is_refused_before_any_work(call, net, support, tmp_path):
    def adapt(*more: str) -> Said:
        return call("adapt", str(net), "--support", str(support), *more)

    full = tmp_path / "full"
    full.mkdir()
    (full / "precious").write_text("x")
    refused(adapt("--out", str(full)), "is not an empty folder")
    assert [path.name for path in full.iterdir()] == ["precious"]
    refused(adapt("--predictions", str(full / "precious")), "exists; choose another file")
    refused(adapt("--predictions", str(tmp_path / "none" / "x.csv")), "there is no folder")
    for rate in ("1", "-0.1", "nan"):
        refused(adapt("--reject", rate), "--reject")
    refused(adapt("--unknowns", str(full)), "--unknowns is for --reject")
    (tmp_path / "loose").mkdir()
    image(0, 0).save(tmp_path / "loose" / "a.png")
    refused(adapt("--query", str(tmp_path / "loose"), "--compare"), "leave --query out")
    shutil.copytree(support / "1", support / "unknown")
    refused(adapt("--reject", "0.1"), "a class is named 'unknown'")
    two = folders(tmp_path / "two", range(2), NAMES[:2])
    refused(call("adapt", str(net), "--support", str(two), "--reject", "0.1"), "at least 3")
    single = folders(tmp_path / "single", range(1))
    for more in (("--compare",), ("--reject", "0.1")):
        refused(call("adapt", str(net), "--support", str(single), *more), "each class has one example")
