"""The study of learned optimizers at toy size."""

from __future__ import annotations

import json

import pytest

from nas.errors import ConfigError
from nas.experiments.reproduce import learned_optimizer, learned_optimizer_settings
from nas.experiments.reproduce.learned_optimizer_settings import load, optimizee_of, trainer_of

TOY = """
seeds = [0, 1]
[quadratics]
title = "Toy quadratics"
tuning_functions = 4
rates_a_decade = 1
optimizee = { name = "quadratics", dimension = 3 }
training = { iterations = 2, steps = 4, unroll = 2, functions = 3, validate_every = 1, validation_functions = 3 }
[[quadratics.tests]]
title = "the same"
functions = 5
steps = [2, 4]
[[quadratics.tests]]
title = "larger"
functions = 5
steps = [4]
optimizee = { dimension = 4 }
[mlp]
title = "Toy networks"
tuning_functions = 2
rates_a_decade = 1
optimizee = { name = "mlp" }
training = { iterations = 1 }
tests = [{ title = "the same", functions = 2, steps = [1] }]
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(TOY, encoding="utf-8")
    return path


def test_the_study_runs_to_the_end_and_goes_on_from_its_work(settings, tmp_path, capsys):
    words = ["quadratics", "--settings", str(settings), "--work", str(tmp_path / "work")]
    words += ["--out", str(tmp_path / "table.txt"), "--figure", str(tmp_path / "curves.png")]
    learned_optimizer.main([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    found = [(row["test"], row["steps"], row["optimizer"]) for row in document["rows"]]
    names = ["learned", "sgd", "nag", "rmsprop", "adam"]
    tests = [("the same", 2), ("the same", 4), ("larger", 4)]
    assert found == [(*test, name) for test in tests for name in names]
    for row in document["rows"]:
        if row["optimizer"] != "learned":
            ours = next(r for r in document["rows"] if (r["test"], r["steps"]) == (row["test"], row["steps"]))
            assert row["less"]["value"] == pytest.approx(ours["loss"]["value"] - row["loss"]["value"], abs=1e-4)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "table.txt").read_text("utf-8")
    assert text.startswith("$ python -m nas.experiments.reproduce.learned_optimizer quadratics")
    learned_optimizer.main(words)
    assert capsys.readouterr().out.split("Machine")[0] in text


def test_the_shipped_settings_describe_trainings_that_can_be_made():
    shipped = load(None)
    assert len(shipped.seeds) >= 5
    for study in (shipped.quadratics, shipped.mlp):
        assert trainer_of(study, 3).settings.seed == 3
        assert trainer_of(study, 3).settings.unroll == 20
        names = {optimizee_of(study, test).name for test in study.tests}
        assert names in ({"quadratics"}, {"mlp", "convnet"})


def test_settings_that_cannot_be_used_are_refused(settings):
    settings.write_text(TOY.replace("seeds", "sedes", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match="key"):
        load(settings)
    settings.write_text(TOY.replace("{ iterations = 1 }", "{ itrations = 1 }"), encoding="utf-8")
    with pytest.raises(ConfigError, match="itrations"):
        trainer_of(load(settings).mlp, 0)
    with pytest.raises(ConfigError, match="cannot be read"):
        learned_optimizer_settings.load(settings.with_name("none.toml"))
