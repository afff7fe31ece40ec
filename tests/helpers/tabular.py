"""Tables of evaluated architectures and configs that search them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT

from nas.config import Config, from_json
from nas.search_spaces import NasBench201

DATA = ROOT.parent / "shared" / "data" / "nas_bench_201_cifar10.npz"


def tabled(path: Path, **tables: Any) -> Config:
    usual: dict[str, Any] = {
        "space": {"name": "nas-bench-201", "published": True},
        "controller": {"name": "random"},
        "evaluator": {"name": "tabular", "path": str(path), "score": "val", "report": "test", "cost": "seconds"},
        "search": {"trials": 1000, "seconds": 60.0, "workers": 1, "repeats": "evaluated"},
        "compare": {"re": {"name": "regularized-evolution", "population": 4, "tournament": 2}},
    }
    return from_json({name: {**usual[name], **tables.get(name, {})} for name in {**usual, **tables}})


@pytest.fixture(name="table", scope="session")
def nas_bench_201_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells of NAS-Bench-201 with made-up values: the number of 3×3 convolutions, which the test value repeats."""
    path, space = tmp_path_factory.mktemp("table") / "cells.npz", NasBench201(published=True)
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    cells = [tuple(names[i // 5**k % 5] for k in range(6)) for i in range(5**6)]
    draw = np.random.default_rng(0)
    val = np.array([cell.count("nor_conv_3x3") for cell in cells]) + draw.normal(size=len(cells))
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    columns = {"arch": [text.format(*cell) for cell in cells], "val": val, "test": 10 * val + 1}
    np.savez(path, **columns, seconds=draw.uniform(0.5, 4.5, len(cells)))
    assert space.from_text(columns["arch"][7])
    return path
