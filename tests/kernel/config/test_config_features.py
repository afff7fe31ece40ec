"""Zero-cost scores for controllers: which controllers get them, and which are refused because there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from nas import config as configs
from nas.architecture import Architecture
from nas.controllers import RandomSearch
from nas.errors import ConfigError
from nas.protocols import SearchSpace, ZeroCost
from nas.registry import components

TASKS = '[tasks]\nname = "sinusoid"\n'
TABLE = '[evaluator]\nname = "tabular"\n'


class Curious(RandomSearch):
    """Random search that takes zero-cost scores."""

    name = "curious"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        zero_cost: tuple[ZeroCost, ...] = (),
        features: Callable[[Architecture, Sequence[ZeroCost]], Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        self.zero_cost, self.features = zero_cost, features


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an installed package offered it."""

    def entry_points(*, group: str) -> EntryPoints:
        points = [EntryPoint("curious", f"{__name__}:Curious", group)]
        return EntryPoints(points if group == "nas.controllers" else [])

    monkeypatch.setattr(components, "entry_points", entry_points)


def load(folder: Any, controller: str, rest: str) -> Any:
    path = folder / "study.toml"
    path.write_text(f'[space]\nname = "mlp"\n[controller]\nname = "curious"\n{controller}\n{rest}')
    return configs.build(configs.load(str(path)))


@pytest.mark.parametrize("evaluator", ["meta", "zero-cost"])
def test_a_controller_that_takes_them_is_given_those_of_the_evaluator(tmp_path, evaluator):
    chosen = 'zero_cost = ["synflow", "grad-norm"]'
    parts = load(tmp_path, chosen, f'{TASKS}[evaluator]\nname = "{evaluator}"\n')
    controller = parts.controller
    assert controller.zero_cost == ("synflow", "grad-norm")
    [architecture] = controller.ask(1)
    features = controller.features(architecture, controller.zero_cost)
    assert features == parts.evaluator.features(architecture, controller.zero_cost)
    assert features.keys() == {"synflow", "grad-norm"}


def test_an_evaluator_without_them_refuses_only_who_wants_them(tmp_path):
    assert load(tmp_path, "", TABLE).controller.features is None
    assert load(tmp_path, "zero_cost = []", TABLE).controller.features is None
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, 'zero_cost = ["naswot"]', TABLE)
    line = str(caught.value)
    assert "study.toml:5" in line.replace(", line ", ":")
    assert "evaluator 'tabular' tells no zero-cost scores (nas.protocols.Featured)" in line
    assert "leave it out" in line


def test_they_are_no_option_and_their_names_are_checked(tmp_path):
    for rest in (TASKS, TABLE):
        with pytest.raises(ConfigError, match="controller 'curious' has no option 'features'"):
            load(tmp_path, 'features = "synflow"', rest)
    with pytest.raises(ConfigError, match=r"option 'zero_cost' is .*snip.*Input should be 'synflow', 'naswot'"):
        load(tmp_path, 'zero_cost = ["snip"]', TASKS)
