"""The benchmark of image folders at toy size."""

import json

from nas.experiments.benchmarks import image_folder


def test_both_readings_are_measured(capsys):
    image_folder.main(["--images", "100", "--side", "4", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == 100
    assert document["first"]["bytes"] == document["second"]["bytes"] == 100 * 3 * 4 * 4
