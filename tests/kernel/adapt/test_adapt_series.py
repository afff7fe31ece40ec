"""Adaptation of networks for series and for windows of signals to users' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.export import exported

from nas import config as configs
from nas.adapt import adapt
from nas.errors import DataError
from nas.evaluators.tasks import Sequences
from nas.export import load, restore
from nas.protocols import Reader
from nas.task import TaskBatch

LENGTH, WINDOW = 12, 5
LEARNER = {"name": "maml", "inner_lr": 0.1, "steps": 2}
SPACE = {"name": "mlp", "widths": [8], "max_depth": 2}


def network_for(folder, tasks):
    data = {"space": SPACE, "tasks": tasks, "evaluator": {"learner": LEARNER}, "final": {"baseline": "mlp40"}}
    return exported(folder, data)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its own data are not at hand, as on another person's machine."""
    tasks = {"name": "sequences", "ways": 3, "length": LENGTH, "path": "nowhere.tsv"}
    return network_for(tmp_path_factory.mktemp("series") / "net", tasks)


def learner_outputs(net, support, query):
    """Predictions of the learner itself after each step: (steps + 1, queries, outputs)."""
    exported_net = load(net)
    evaluator = configs.build(configs.from_json(exported_net.recipe["config"])).evaluator
    network = evaluator.network(exported_net.architecture, seed=99)
    batch = TaskBatch(*(torch.as_tensor(part)[None] for part in (*support, *query)))
    learner = evaluator.learner
    return learner.adapt(
        network, restore(network, exported_net.weights), batch, exported_net.shape.kind, learner.steps
    )[:, 0].detach()


def write(path, labels, series):
    rows = ("\t".join([label, *map(str, values)]) for label, values in zip(labels, series, strict=True))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def waves(count, length):
    return np.random.default_rng(count).normal(size=(count, length)).cumsum(axis=1)


def test_series_are_read_as_their_tasks_read_them_and_the_predictions_are_the_learners(net, tmp_path):
    support = write(tmp_path / "support.tsv", ["walk", "run", "walk", "run", "jump"], waves(5, 30))
    query = write(tmp_path / "query.tsv", ["run", "walk", "walk"], waves(3, 50))
    adapted = adapt(net, support, query)

    family = Sequences(ways=3, length=LENGTH)
    assert isinstance(family, Reader)
    (x, _), (query_x, _) = family.read(support), family.read(query)
    outputs = learner_outputs(
        net, (x[[4, 1, 3, 0, 2]], torch.tensor([0, 1, 1, 2, 2])), (query_x, torch.tensor([1, 2, 2]))
    )
    chosen = outputs.argmax(dim=-1)
    rows = {(row.source, row.truth): row.predicted for row in adapted.predictions}
    truths = ("run", "walk", "walk")
    assert rows == {(f"{query}:{i + 1}", truths[i]): ("jump", "run", "walk")[chosen[-1, i]] for i in range(3)}
    assert adapted.curve == pytest.approx((chosen == torch.tensor([1, 2, 2])).float().mean(dim=1).tolist())


def test_queries_of_unknown_class_are_predicted_in_their_order(net, tmp_path):
    support = write(tmp_path / "support.tsv", ["walk", "run", "walk", "run"], waves(4, 30))
    labelled = adapt(net, support, write(tmp_path / "a.tsv", ["run", "run", "walk"], waves(3, 50)))
    adapted = adapt(net, support, write(tmp_path / "b.tsv", ["?", "?", "?"], waves(3, 50)))
    assert adapted.curve == ()
    assert [row.predicted for row in adapted.predictions] == [row.predicted for row in labelled.predictions]
    assert [row.source for row in adapted.predictions] == [f"{tmp_path / 'b.tsv'}:{i}" for i in (1, 2, 3)]
    assert {row.truth for row in adapted.predictions} == {None}
    assert len(adapt(net, support, None).predictions) == 4


def test_a_query_may_spell_the_numbers_of_the_support_set_otherwise(net, tmp_path):
    support = write(tmp_path / "support.tsv", ["1", "2", "1", "2"], waves(4, 30))
    query = write(tmp_path / "query.tsv", ["2.0000000e+00", "1.0000000e+00", "1.0000000e+00"], waves(3, 50))
    same = write(tmp_path / "same.tsv", ["2", "1", "1"], waves(3, 50))
    adapted = [adapt(net, support, path) for path in (query, same)]
    assert [row.truth for row in adapted[0].predictions] == ["2", "1", "1"]
    assert adapted[0].curve == adapted[1].curve


def test_classes_that_differ_as_texts_alone_stay_apart(net, tmp_path):
    labels = ["1E2", "100", "007", "7"]
    for one, other in (labels[:2], labels[2:]):
        support = write(tmp_path / "support.tsv", [one, other, one, other], waves(4, 30))
        query = write(tmp_path / "query.tsv", [other], waves(1, 50))
        assert [row.truth for row in adapt(net, support, query).predictions] == [other]


@pytest.mark.parametrize(
    "support, query, message",
    [
        ("a b", "a c", "b.tsv has class 'c', which the support set does not: a, b"),
        ("a ?", "a b", "a.tsv has an example of class '\\?', which is for queries; say what it is"),
        ("a a", "a a", "a.tsv holds 1 class, 'a'; a network tells at least two apart"),
    ],
)
def test_files_that_do_not_fit_are_refused(net, tmp_path, support, query, message):
    files = [
        write(tmp_path / name, labels.split(), waves(len(labels.split()), 20))
        for name, labels in (("a.tsv", support), ("b.tsv", query))
    ]
    with pytest.raises(DataError, match=message):
        adapt(net, *files)


def test_files_that_are_no_series_are_refused(net, tmp_path):
    with pytest.raises(DataError, match=r"none\.tsv does not exist"):
        adapt(net, tmp_path / "none.tsv", None)
    np.savez(tmp_path / "a.npz", series=np.ones((2, 3, 9)), labels=["a", "b"])
    with pytest.raises(DataError, match="have 3 channels; the option channels is 1"):
        adapt(net, tmp_path / "a.npz", None)


def test_a_window_of_signals_is_a_row_of_a_table(tmp_path):
    net = network_for(tmp_path / "net", {"name": "system-identification", "length": WINDOW})
    table = np.random.default_rng(0).normal(size=(8, 2 * WINDOW + 1)).astype(np.float32)
    np.savetxt(tmp_path / "support.csv", table[:5], delimiter=",")
    np.savetxt(tmp_path / "query.csv", table[5:], delimiter=",")
    adapted = adapt(net, tmp_path / "support.csv", tmp_path / "query.csv")
    x, y = table[:, :-1].reshape(-1, 2, WINDOW), table[:, -1:]
    outputs = learner_outputs(net, (x[:5], y[:5]), (x[5:], y[5:]))
    assert [float(row.predicted) for row in adapted.predictions] == pytest.approx(outputs[-1, :, 0].tolist(), rel=1e-3)
    assert adapted.curve == pytest.approx(
        ((outputs - torch.from_numpy(y[5:])) ** 2).mean(dim=(1, 2)).tolist(), rel=1e-5
    )
