"""Components by name: built-in ones, and those of other packages, sound or not."""

from __future__ import annotations

import inspect
import random
import re
import typing
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any, Literal

import pytest

from nas.errors import ConfigError
from nas.registry import builtin, components
from nas.space import sample

ROOMS = sorted(builtin.BUILT_IN)


class Plain:
    """A space of somebody else."""

    name = "plain"

    def __init__(
        self,
        *,
        size: int = 3,
        rate: float = 0.5,
        flag: bool = False,
        text: str = "a",
        path: Path | None = None,
        kind: Literal["a", "b"] = "a",
        order: Literal[1, 2] = 1,
        sizes: tuple[int, ...] = (1, 2),
    ) -> None:
        self.got = (size, rate, flag, text, path, kind, order, sizes)


class Refuses:
    """Fails with an error that is not ours."""

    def __init__(self) -> None:
        raise ValueError("no\nsuch thing")


class Needs:
    """Has an option without a default."""

    def __init__(self, *, size: int) -> None: ...


class Unreadable:
    """Has a type that nobody knows."""

    def __init__(self, *, size: Unknown = 1) -> None: ...  # noqa: F821  # the point


HERE = __name__
PLUGINS = {
    "plain": f"{HERE}:Plain",
    "refuses": f"{HERE}:Refuses",
    "needs": f"{HERE}:Needs",
    "unreadable": f"{HERE}:Unreadable",
    "lost": "no_such_module_here:Space",
    "absent": f"{HERE}:Absent",
    "mlp": f"{HERE}:Plain",
}


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points for spaces, as installed packages would have them."""

    def entry_points(*, group: str) -> EntryPoints:
        spaces = [EntryPoint(name, value, group) for name, value in PLUGINS.items()]
        return EntryPoints(spaces if group == "nas.search_spaces" else [])

    monkeypatch.setattr(components, "entry_points", entry_points)


@pytest.mark.parametrize("room", ROOMS)
def test_every_built_in_has_its_own_name_a_line_on_itself_and_options_with_defaults(room):
    for name in components.names(room):
        cls = components.find(room, name)
        assert cls.__doc__.strip().splitlines()[0]
        assert getattr(cls, "name", name) == name
        options = components.options_of(cls)
        assert all(annotation is not Any for annotation in options.values())
        without = [
            parameter.name
            for parameter in inspect.signature(cls).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
        assert set(without) <= {"space", "tasks", "learner", "seed", "slot_request"}


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="space 'fewshot-cell' is not known: did you mean 'few-shot-cell'"):
        components.find("space", "fewshot-cell")
    with pytest.raises(ConfigError, match=r"did you mean 'evolution'\? Known: .*zoph-le, optuna:NAME, or a class "):
        components.find("controller", "evolutoin")
    with pytest.raises(ConfigError) as caught:
        components.find("space", "x" * 10_000)
    assert len(str(caught.value)) < 350  # the names of all spaces are in it


def test_every_form_of_a_name_is_told_with_an_example():
    for room, forms in builtin.NAME_FORMS.items():
        assert {form.partition(":")[0] for form in forms} == {*builtin.PREFIXES.get(room, {}), "FILE.py"}
        for form, text in forms.items():
            assert re.search(rf"such as {form.partition(':')[0]}:\w+|such as \w+\.py:\w+", text)


def test_options_are_taken_as_a_file_writes_them(plugins):
    assert components.create("space", "plain", {}).got == (3, 0.5, False, "a", None, "a", 1, (1, 2))
    options = {"size": 4, "rate": 1, "flag": True, "text": "b", "path": "x/y", "kind": "b", "order": 2, "sizes": [5]}
    got = components.create("space", "plain", options).got
    assert got == (4, 1.0, True, "b", Path("x/y"), "b", 2, (5,))
    assert [type(value) for value in got[:3]] == [int, float, bool]


@pytest.mark.parametrize(
    "option, values",
    [
        ("size", [True, 1.0, "1", None, [1], {}]),
        ("rate", [True, "1", None, [1.0], float("nan"), float("inf")]),
        ("flag", [0, 1, "true", None]),
        ("text", [1, True, None, ["a"]]),
        ("path", [1, True, ["a"]]),
        ("kind", ["c", 1, None, ["a"]]),
        ("order", [3, True, 1.0, "1", None]),
        ("sizes", [1, "1", [1.0], [True], ["a"], [None], {"0": 1}]),
    ],
)
def test_nothing_is_coerced(plugins, option, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"space 'plain' option '{option}' is "):
            components.create("space", "plain", {option: value})


def test_what_the_program_gives_is_no_option():
    space = components.create("space", "mlp", {})
    for argument in ("seed", "space"):
        with pytest.raises(ConfigError, match=f"has no option '{argument}'"):
            components.create("controller", "random", {argument: 1}, space=space, seed=0)


@pytest.mark.parametrize(
    "name, part",
    [
        ("refuses", "space 'refuses' cannot be made: ValueError: no such thing"),
        ("needs", "space 'needs' cannot be made: TypeError"),
        ("unreadable", "whose options cannot be read: NameError"),
        ("lost", "cannot be loaded: ModuleNotFoundError"),
        ("absent", "cannot be loaded: AttributeError"),
    ],
)
def test_a_component_of_others_that_fails_is_a_config_error(plugins, name, part):
    with pytest.raises(ConfigError) as caught:
        components.create("space", name, {})
    assert part in str(caught.value)


def test_built_in_names_come_first_and_others_are_listed(plugins):
    assert components.find("space", "mlp") is not Plain
    assert set(PLUGINS) | set(builtin.BUILT_IN["space"]) == set(components.names("space"))
    assert components.find("space", "plain") is Plain


def test_a_size_beyond_all_memory_is_a_config_error_not_a_crash():
    space = components.create("space", "mlp", {})
    with pytest.raises(ConfigError, match="hidden = 1000000000000000000"):
        components.create("controller", "reinforce", {"hidden": 10**18}, space=space, seed=0)


def test_an_option_of_the_table_itself_is_suggested_too():
    with pytest.raises(ConfigError, match="did you mean 'budget'"):
        components.create("evaluator", "meta", {"budgett": 1}, beside=("name", "budget"))


def test_the_architectures_of_a_space_bear_the_name_it_is_registered_by():
    for name in components.names("space"):
        space = components.create("space", name, {})
        assert sample(space, random.Random(0)).space == name


def test_rooms_have_entry_point_groups():
    assert set(builtin.ENTRY_POINT_GROUPS) == set(builtin.BUILT_IN) == set(typing.get_args(builtin.Room))
