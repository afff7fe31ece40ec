"""Proposals of every controller on small spaces, by digests that are the same before and after a change of the code.

Only controllers that compute with whole numbers and plain sums are recorded: the proposals of others may differ between
processors, which round sums of products differently. Digests that are meant to change are made again with
`python tests/project/test_behaviour.py`; CHANGELOG says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from behaviour import VARIANTS, digest, toy_search

DIGESTS = Path(__file__).parents[1] / "data" / "behaviour.json"
CONTROLLERS = ("grid", "local-search", "random", "regularized-evolution")
CASES = [(controller, variant) for controller in CONTROLLERS for variant in VARIANTS]


def test_every_controller_is_recorded() -> None:
    assert list(json.loads(DIGESTS.read_text("utf-8"))) == [f"{controller}: {variant}" for controller, variant in CASES]


@pytest.mark.parametrize(("controller", "variant"), CASES)
def test_picks_scores_and_order_are_as_before(controller: str, variant: str, tmp_path: Path) -> None:
    expected = json.loads(DIGESTS.read_text("utf-8"))[f"{controller}: {variant}"]
    assert digest(toy_search(controller, variant, tmp_path)) == expected


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        found = {f"{c}: {v}": digest(toy_search(c, v, Path(place))) for c, v in CASES}
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
