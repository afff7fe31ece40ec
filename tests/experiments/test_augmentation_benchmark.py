"""The benchmark of augmentation operations at toy size."""

import json

import pytest

from nas.evaluators.augmentation.operations import OPERATIONS
from nas.experiments.benchmarks import augmentation


@pytest.mark.parametrize("channels", ["1", "3"])
def test_every_operation_is_measured(capsys, channels):
    augmentation.main(["--images", "5", "--side", "6", "--channels", channels, "--rounds", "1", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["shape"] == [5, int(channels), 6, 6]
    assert list(document["seconds"]) == [*OPERATIONS, "all together"]
    assert all(seconds > 0 for row in document["seconds"].values() for seconds in row.values())


def test_the_table_has_a_row_for_each_operation(capsys):
    augmentation.main(["--images", "2", "--side", "4", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:-1]] == list(OPERATIONS)
