"""Check of configs: every key at fault is refused in one line with its place, the rule and the remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nas.config import parts
from nas.config import reading as configs
from nas.errors import ConfigError, NasError

TOY: dict[str, Any] = {
    "space": {"name": "mlp", "widths": [4, 8], "max_depth": 2},
    "controller": {"name": "evolution", "population": 2, "tournament": 1},
    "tasks": {"name": "sinusoid", "shots": 4, "queries": 6, "seed": 0},
    "evaluator": {
        "name": "meta",
        "learner": {"name": "maml", "order": 1, "inner_lr": 0.01, "steps": 2, "outer_lr": 0.003},
        "norm": "none",
        "head_norm": False,
        "budget": 2,
        "tasks_per_step": 2,
        "train_queries": 0,
        "validation_tasks": 4,
        "anneal": True,
        "chunk": 5,
    },
    "search": {
        "trials": 3,
        "workers": 1,
        "device": "cpu",
        "seed": 0,
        "deadline_s": 0.0,
        "fidelity": {"rungs": 2, "eta": 2},
    },
    "final": {
        "top": 1,
        "seeds": 2,
        "budget": 2,
        "validation_tasks": 4,
        "tasks": 4,
        "baseline": {"name": "conv4", "width": 8},
    },
}
# Small values are left out where a component may take them; each of these is wrong for every key but those of STRANGE.
BAD = (
    '"x"',
    '""',
    "true",
    "-1",
    "1.5",
    "nan",
    "inf",
    "9" * 30,
    "9" * 5000,
    "0x" + "f" * 5000,
    "-9223372036854775809",
    "[]",
    "[nan]",
    "[true]",
    "{}",
    '{name = "x"}',
    "2020-01-01",
    "07:00:00",
    '"a\\u0000b"',
    '"é\\u202e"',
    "'''a\nb'''",
    '"' + "x" * 100_000 + '"',
    "[" * 300 + "]" * 300,
)
STRANGE = {
    "controller.population": (),
    "evaluator.head_norm": ("true",),
    "evaluator.anneal": ("true",),
    "search.deadline_s": ("1.5",),
    "evaluator.learner.inner_lr": ("1.5",),
    "evaluator.learner.outer_lr": ("1.5",),
}
"""Values of BAD that are good for a key."""


def leaves(table: dict[str, Any], *path: str) -> list[tuple[str, ...]]:
    paths = []
    for key, value in table.items():
        paths += leaves(value, *path, key) if isinstance(value, dict) else [(*path, key)]
    return paths


LEAVES = [".".join(path) for path in leaves(TOY)]


def toml(replaced: dict[str, str] | None = None) -> str:
    """The toy config, one dotted key a line, with values replaced as TOML text."""
    values = {key: json.dumps(value_at(key)) for key in LEAVES} | (replaced or {})
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def value_at(key: str) -> Any:
    value: Any = TOY
    for name in key.split("."):
        value = value[name]
    return value


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "study.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def refusal(source: str, *overrides: str) -> str:
    """The one line that a config is refused with."""
    with pytest.raises(ConfigError) as caught:
        configs.load(source, overrides)
    message = str(caught.value)
    assert caught.value.exit_status == 2
    assert len(" ".join(message.split())) < 700
    return message


def test_the_toy_config_is_good_and_survives_json(tmp_path):
    config = configs.load(write(tmp_path, toml()))
    assert configs.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.evaluator.learner.options["inner_lr"] == 0.01
    assert config.final_budget == 2


def test_every_shipped_experiment_can_be_built():
    for name in configs.shipped():
        config = configs.load(name)
        assert parts.build(config).space.name == config.space.name
    assert configs.load(None) == configs.load(configs.QUICK_START)


@pytest.mark.parametrize("key", LEAVES)
def test_whatever_is_put_for_a_key_is_taken_or_refused_in_one_line_with_its_place(tmp_path, key):
    """Fuzzing: each key with each bad value in the file, with some by --set."""
    line = LEAVES.index(key) + 1
    for bad in BAD:
        if bad in STRANGE.get(key, ()):
            configs.load(write(tmp_path, toml({key: bad})))
            continue
        source = write(tmp_path, toml({key: bad}))
        name = re.escape(source)
        message = refusal(source)
        if "nested too deeply" not in message:
            assert re.match(rf"{name}:{line}: ", message), (key, bad[:40], message)
    for bad in BAD[::3]:
        if bad not in STRANGE.get(key, ()):
            message = refusal(write(tmp_path, toml()), f"{key}={bad}")
            assert message.startswith("--set "), (key, bad[:40], message)


@pytest.mark.parametrize("seconds", ["1e-9", "0.5", "0.999"])
def test_a_deadline_in_which_no_candidate_can_be_evaluated_is_refused(tmp_path, seconds):
    message = refusal(write(tmp_path, toml({"search.deadline_s": seconds})))
    assert message.endswith("Input should be 0, for none, or at least 1 second")
    for good in ("0", "0.0", "1", "1.0", "300"):
        configs.load(write(tmp_path, toml({"search.deadline_s": good})))


def test_an_unknown_key_is_refused_at_every_level_with_the_nearest(tmp_path):
    for key, near in {
        "serach.trials": "search",
        "search.trails": "trials",
        "search.fidelity.rung": "rungs",
        "final.topp": "top",
        "space.width": "widths",
        "tasks.shot": "shots",
        "controller.populatoin": "population",
        "evaluator.nomr": "norm",
        "evaluator.learner.inner_rate": "inner_lr",
        "final.baseline.widht": "width",
    }.items():
        message = refusal(write(tmp_path, toml() + f"{key} = 1\n"))
        assert f"study.toml:{len(LEAVES) + 1}: " in message
        assert f"did you mean '{near}'?" in message
        assert refusal(write(tmp_path, toml()), f"{key}=1").startswith(f"--set {key}: ")


def test_an_unknown_component_is_refused_with_the_nearest(tmp_path):
    for key, name, near in (
        ("space.name", "mpl", "mlp"),
        ("controller.name", "evolutoin", "evolution"),
        ("tasks.name", "sinus", "sinusoid"),
        ("evaluator.name", "mta", "meta"),
        ("evaluator.learner.name", "mamml", "maml"),
        ("final.baseline.name", "conv5", "conv4"),
    ):
        message = refusal(write(tmp_path, toml({key: f'"{name}"'})))
        assert f"study.toml:{LEAVES.index(key) + 1}: " in message
        assert f"did you mean '{near}'?" in message


def test_the_line_is_that_of_the_key_in_its_own_table(tmp_path):
    """Two tables have a key `validation_tasks`, and a value may take several lines."""
    text = (
        '[space]\nname = "mlp"\nwidths = [\n  4,\n  4,\n]\n\n[tasks]\nname = "sinusoid"\n[evaluator]\n'
        'learner = { name = "maml", steps = 0 }\nvalidation_tasks = 4\n[final]\nvalidation_tasks = 1\n'
        'baseline = "mlp40"\n'
    )
    source = write(tmp_path, text)
    assert refusal(source).startswith(f"{source}:14: key 'final.validation_tasks'")
    assert refusal(source, "final.validation_tasks=4").startswith(f"{source}:3: mlp widths")
    assert refusal(source, "final.validation_tasks=4", "space.widths=[4]").startswith(f"{source}:11: maml steps")
    configs.load(source, ["final.validation_tasks=4", "space.widths=[4]", "evaluator.learner.steps=1"])


def test_a_missing_table_or_name_is_said_to_be_missing(tmp_path):
    assert "'space' is missing" in refusal(write(tmp_path, ""))
    assert "'tasks' is missing" in refusal(write(tmp_path, '[space]\nname = "mlp"\n'))
    assert "study.toml:1: key 'space.name' is missing" in refusal(write(tmp_path, "[space]\n[tasks]\nname='sinusoid'"))
    learner = '[space]\nname="mlp"\n[tasks]\nname="sinusoid"\n[evaluator]\nlearner = { steps = 5 }\n'
    assert "study.toml:6: key 'evaluator.learner.name' is missing" in refusal(write(tmp_path, learner))


@pytest.mark.parametrize(
    "text, part",
    [
        ("a = 1\na = 2\n", "study.toml:2: this is not valid TOML"),
        ("[space]\n[space]\n", "study.toml:2: this is not valid TOML"),
        ("[space\n", "study.toml:1: this is not valid TOML"),
        (b"\xff\xfe[space]", "cannot be read"),
        (b"a = '\xff'", "cannot be read"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x" + ".x" * 90_000 + " = 1", "nested too deeply"),
        ("[" + "x." * 90_000 + "x]", "nested too deeply"),
        ("[a]\n" + "".join(f"[a{'.a' * n}]\n" for n in range(1, 15)) + "b" + ".b" * 14 + "=1", "nested too deeply"),
        ("#" * (configs.LONGEST + 1), "more than"),
        (
            "search = 3\nspace.name = 'mlp'\ntasks.name = 'sinusoid'",
            "study.toml:1: key 'search' is 3: Input should be a table",
        ),
        ("a\x00 = 1", "not valid TOML"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, text, part):
    assert part in refusal(write(tmp_path, text))


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path):
    text = b"\xef\xbb\xbf" + toml().replace("\n", "\r\n").encode()
    assert configs.load(write(tmp_path, text)) == configs.load(write(tmp_path, toml()))
    text = text.replace(b"search.trials = 3", b"search.trials = x")
    assert f"study.toml:{LEAVES.index('search.trials') + 1}: " in refusal(write(tmp_path, text))


def test_what_is_not_a_file_is_refused(tmp_path):
    assert "cannot be read" in refusal(str(tmp_path))
    assert "cannot be read" in refusal("")
    assert "cannot be read" in refusal("x" * 5000)
    assert "did you mean 'quickstart'" in refusal("quickstrat")
    assert "or give a .toml file" in refusal(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    "override, part",
    [
        ("search.trials", "write it as TABLE.KEY=VALUE"),
        ("=3", "write it as TABLE.KEY=VALUE"),
        ("search..trials=3", "write it as TABLE.KEY=VALUE"),
        ("search=3", "--set search: key 'search' is 3: Input should be a table"),
        ("space=mlp", "--set space: key 'space' is 'mlp': Input should be a table"),
        ("search.trials.more=3", "'trials' is a value, not a table"),
        ("more.trials=3", "--set more.trials: key 'more' is not known"),
        ("search.trials=", "key 'search.trials' is ''"),
        ("search.trials=3\nsearch.seed=1", "Input should be a valid integer"),
        (".".join("a" * 100_000) + "=1", "nested too deeply"),
        ("space.widths={" + ".".join("a" * 100_000) + "=1}", "Input should be a valid array"),
        ("search.device=meta", "'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ("search.device=cuda:x", "'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ("search.fidelity=3", "key 'search.fidelity' is 3: Input should be a table"),
        ("search.fidelity.eta=1", "key 'search.fidelity.eta' is 1: Input should be greater than or equal to 2"),
        (
            "search.fidelity.rungs=3",
            "--set search.fidelity.rungs: search.fidelity rungs = 3 with eta = 2 need a budget",
        ),
        ("search.workers=0", "greater than or equal to 1; Input should be 'auto'"),
    ],
)
def test_an_override_that_cannot_be_used_is_refused(tmp_path, override, part):
    assert part in refusal(write(tmp_path, toml()), override)


def test_overrides_reach_every_key_and_the_last_one_counts(tmp_path):
    overrides = [
        "search.trials=7",
        "search.trials=8",
        "tasks.seed = 5",
        "evaluator.learner={name='reptile', steps=3}",
        "evaluator.learner.inner_lr=0.5",
        "final.baseline=mlp40",
    ]
    config = configs.load(write(tmp_path, toml()), overrides)
    assert (config.search.trials, config.tasks.options["seed"], config.final.baseline) == (8, 5, "mlp40")
    assert config.evaluator.learner.options == {"steps": 3, "inner_lr": 0.5}
    source = write(tmp_path, '[space]\nname="mlp"\n[tasks]\nname="sinusoid"\n[evaluator]\nlearner="maml"\n')
    assert configs.load(source, ["evaluator.learner.steps=2"]).evaluator.learner.options == {"steps": 2}
    paths = configs.load("omniglot_5way_1shot", ["tasks.path=../some folder/a=b.npz"])
    assert paths.tasks.options["path"] == str(Path("../some folder/a=b.npz").absolute())


def test_nothing_is_coerced(tmp_path):
    for key, value in {
        "evaluator.learner.order": "true",
        "evaluator.learner.steps": "2.0",
        "search.seed": "false",
        "evaluator.head_norm": "0",
        "tasks.shots": '"4"',
        "search.trials": "3.0",
        "space.widths": "[4.0, 8]",
    }.items():
        assert f"study.toml:{LEAVES.index(key) + 1}: " in refusal(write(tmp_path, toml({key: value})))
    assert "Input should be a valid integer" in refusal(write(tmp_path, toml()), "evaluator.learner.order=1.0")


def test_rungs_are_off_unless_the_table_or_one_of_its_keys_is_given(tmp_path):
    text = '[space]\nname="mlp"\n[tasks]\nname="sinusoid"\n[evaluator]\nbudget=100\nlearner="maml"\n'
    for added, overrides, budgets in (
        ("", (), (100,)),
        ("[search.fidelity]\n", (), (11, 33, 100)),
        ("", ("search.fidelity.eta=3",), (11, 33, 100)),
        ("", ("search.fidelity.eta=10",), (1, 10, 100)),
        ("[search.fidelity]\nrungs=2\neta=4\n", (), (25, 100)),
        ("[search.fidelity]\nrungs=4\n", ("search.fidelity.rungs=1",), (100,)),
    ):
        config = configs.load(write(tmp_path, text + added), overrides)
        assert config.budgets == budgets
        assert configs.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_rungs_that_the_budget_cannot_feed_are_refused_at_their_key(tmp_path):
    text = '[space]\nname="mlp"\n[tasks]\nname="sinusoid"\n[evaluator]\nbudget=8\n[search.fidelity]\neta=3\n'
    source = write(tmp_path, text)
    assert refusal(source).startswith(f"{source}:7: search.fidelity rungs = 3 with eta = 3 need a budget of at least 9")
    configs.load(source, ["evaluator.budget=9", "evaluator.learner=maml"])


def test_a_baseline_of_the_searched_space_with_other_options_is_refused(tmp_path):
    source = write(tmp_path, toml())
    other = ['final.baseline={name="mlp", widths=[4], max_depth=2}']
    assert "other options" in refusal(source, *other)
    same = ['final.baseline={name="mlp", widths=[4, 8], max_depth=2}']
    assert parts.build(configs.load(source, same)).baseline.widths == (4, 8)


@pytest.mark.parametrize("data", [None, "x", 3, [], {}, {"space": None}, {"space": {"name": "mlp"}, "tasks": 1}])
def test_json_that_is_no_config_is_refused(data):
    with pytest.raises(NasError):
        configs.from_json(data)
