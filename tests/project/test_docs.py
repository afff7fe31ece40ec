"""Tests of the documents: snippets run, commands exist, configs load, links lead somewhere."""

from __future__ import annotations

import configparser
import inspect
import re
import sys
import tomllib

import pytest
import typer
from helpers.cli import command_here, in_this_process  # noqa: F401  # the fixtures `call` and `inline`
from helpers.docs import Block, all_blocks, anchors, blocks_of, commands, documents, links
from helpers.project import ROOT, TOY_OPTIONS, needs_checkout, run

from nas import config as configs
from nas import registry
from nas.checks import space_report
from nas.cli import app
from nas.config.schema import PARTS

pytestmark = needs_checkout

GIVEN = {"space", "seed", "features"}
"""Arguments that a search gives a controller; all others are options."""
LANGUAGES = {"python", "sh", "toml", "text"}
BLOCKS = all_blocks()
WITH_WORKERS = {"README.md", "docs/how-to/several-workers.md"}
"""Documents whose searches start worker processes, as they do outside tests; each worker imports torch anew."""
GALLERY = "docs/gallery.md"
"""A document that searches shipped configs as they are, which tests/experiments/test_configs.py runs to the end."""
WITH_SHELL = sorted({block.document for block in BLOCKS if block.language == "sh" and not block.not_run})
RUN_SNIPPETS = """
import os, runpy, sys, traceback
import torch  # Each snippet runs in a copy of this process, so that torch is imported once for all.

statuses = []
for folder in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.dup2(os.open("output.txt", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        sys.argv, sys.path[0] = ["snippet.py"], folder
        try:
            runpy.run_path("snippet.py", run_name="__main__")
        except BaseException:
            traceback.print_exc()
            raise
        sys.exit()
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(*statuses)
"""


def of(language):
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == language]


@pytest.fixture(scope="module")
def ended_snippets(tmp_path_factory):
    """Exit status and output of each Python block, run as a script in a folder of its own."""
    blocks = [
        block for block in BLOCKS if block.language == "python" and not block.not_run and not runs_in_order(block)
    ]
    folders = [tmp_path_factory.mktemp("snippet") for _ in blocks]
    for block, folder in zip(blocks, folders, strict=True):
        write_files(block.document, folder)
        (folder / "snippet.py").write_text(block.text, encoding="utf-8")
    ended = run([sys.executable, "-c", RUN_SNIPPETS, *folders], folders[0])
    assert ended.returncode == 0, ended.stderr
    outputs = [(folder / "output.txt").read_text("utf-8") for folder in folders]
    return dict(zip(blocks, zip(map(int, ended.stdout.split()), outputs, strict=True), strict=True))


def test_a_document_is_read():
    text = "a\n\n<!-- file: s.py -->\n\n```python\nx = 1\n```\n<!-- not run: why -->\n```sh\nnas list\n```\n"
    text += "```\n  y\n\n```\n"
    assert blocks_of("d.md", text) == [
        Block("d.md", 5, "python", "x = 1\n", file="s.py"),
        Block("d.md", 9, "sh", "nas list\n", not_run="why"),
        Block("d.md", 12, "", "  y\n\n"),
    ]
    for bad in ("```sh\nnas list\n", "```sh title\nnas list\n```\n"):
        with pytest.raises(ValueError, match=r"d\.md:1"):
            blocks_of("d.md", bad)
    assert commands("# no\nnas search --set a='b c' \\\n  --json  # yes\n\nmake test\n") == [
        ["nas", "search", "--set", "a=b c", "--json"],
        ["make", "test"],
    ]
    assert list(links("[a](b.md#c) [d](https://e.f) `[g](h)`\n```\n[i](j)\n```\n")) == [("b.md", "c")]
    assert anchors("# The config, all of it\n```sh\n# no\n```\n## `nas`") == {"the-config-all-of-it", "nas"}


def test_the_readme_shows_how():
    assert {"python", "sh"} <= {block.language for block in BLOCKS if block.document == "README.md"}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_its_language_is_one_that_is_tested(block):
    assert block.language in LANGUAGES, "say python, sh, toml, or text for what is neither run nor read by a program"


@pytest.mark.parametrize("block", of("python"))
def test_python_runs(block, ended_snippets):
    if block.not_run:
        pytest.skip(block.not_run)
    if runs_in_order(block):
        pytest.skip("a command of the document runs it, in test_commands_run")
    status, output = ended_snippets[block]
    assert status == 0, output


@pytest.mark.parametrize("document", WITH_SHELL)
def test_commands_run(document, tmp_path, monkeypatch, call, request):
    """Commands of `nas` run in order in one folder, searches and checks at toy size, in this process to save time.

    Candidates, too, are evaluated in this process, except for the documents in WITH_WORKERS.

    Scripts of the document that a command `python FILE.py` names run between them, in the same folder.
    """
    if document not in WITH_WORKERS:
        request.getfixturevalue("inline")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(space_report, "SAMPLES", 50)
    monkeypatch.setattr(space_report, "BUILDS", 3)
    monkeypatch.setattr(space_report, "SIZED", 10)
    write_files(document, tmp_path)
    for block in BLOCKS:
        if block.document != document or block.language != "sh" or block.not_run:
            continue
        for words in commands(block.text):
            if document == GALLERY:
                assert words[:2] == ["nas", "search"]
                assert words[2] in configs.shipped()
            elif words[0] == "nas":
                toy = TOY_OPTIONS if words[1:2] == ["search"] else []
                ended = call(*words[1:], *toy)
                assert ended.status == 0, f"{block}: {' '.join(words)}\n{ended.err}"
                assert ended.out.strip(), f"{block}: {' '.join(words)} prints nothing"
            elif words[0] == "python" and words[1].endswith(".py"):
                script = run([sys.executable, words[1]], tmp_path)
                assert script.returncode == 0, f"{block}: {' '.join(words)}\n{script.stderr}"


@pytest.mark.parametrize("block", of("sh"))
def test_commands_exist(block):
    """Holds for all commands, also for those that are not run."""
    for words in commands(block.text):
        assert fault_of(words) is None, f"{block}: {' '.join(words)}: {fault_of(words)}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sh" and block.not_run], ids=str)
def test_commands_that_cannot_run_here(block):
    pytest.skip(block.not_run)


@pytest.mark.parametrize(
    "line, wrong",
    [
        ("nas search --name a --set b=c", False),
        ("nas serach", True),
        ("nas search --nmae a", True),
        ("make search test PYTHON=python3.12", False),
        ("make serach", True),
        ("pip install '.[onnx,ray]'", False),
        ("pip install .[oonx]", True),
        ("git clone ADDRESS", False),
        ("python -m nas.experiments.benchmarks.search_overhead --json", False),
        ("python -m nas.experiments.benchmarks.search_underfoot", True),
        ("python draw.py", False),
        ("python undrawn.py", True),
        ("curl ADDRESS", True),
    ],
)
def test_a_wrong_command_is_seen(line, wrong):
    assert (fault_of(commands(line)[0]) is not None) == wrong


@pytest.mark.parametrize("block", of("toml"))
def test_toml_is_valid(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_files(block.document, tmp_path)
    data = tomllib.loads(block.text)
    if {"space", "tasks"} <= data.keys():
        configs.build(configs.from_json(data))
    elif data.keys() == {"controller"}:
        name = data["controller"].pop("name")
        parameters = inspect.signature(registry.find("controller", name)).parameters
        options = {key: each.default for key, each in parameters.items() if key not in GIVEN}
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in data["controller"].items()}
        assert given == options, "a table of a controller shows all its defaults"
    elif "learner" in data.get("evaluator", {}):
        learner = data["evaluator"]["learner"]
        defaults = registry.create("learner", learner["name"], {})
        options = {option: value for option, value in vars(defaults).items() if value is not None}
        assert {"name": defaults.name, **options} == learner, "a table of a learner shows all its defaults"
    elif "tasks" in data:
        name, tasks = data["tasks"].pop("name"), data["tasks"]
        if "path" in tasks:  # an example, with data of one's own
            registry.create("tasks", name, tasks)
            return
        parameters = inspect.signature(registry.find("tasks", name)).parameters
        defaults = {key: each.default for key, each in parameters.items() if each.default is not None}
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in tasks.items()}
        assert given == defaults, "a table of tasks shows all their defaults"


def test_the_config_reference_has_every_key():
    """The table that docs/reference/config.md shows: every fixed key, and every option of the evaluator."""
    block = next(block for block in BLOCKS if block.document == "docs/reference/config.md" and block.language == "toml")
    data = tomllib.loads(block.text)
    assert set(configs.Config.model_fields) == data.keys()
    assert set(configs.SearchTable.model_fields) == data["search"].keys()
    assert set(configs.ConstraintsTable.model_fields) == data["search"]["constraints"].keys()
    assert set(configs.FinalTable.model_fields) == data["final"].keys()
    options = set(registry.options_of(registry.find("evaluator", data["evaluator"]["name"])))
    given = {"space", "tasks", "learner", "device"}
    fields = set(configs.EvaluatorTable.model_fields) - set(PARTS)  # which other evaluators take
    assert (options - given) | fields == data["evaluator"].keys()


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for target, anchor in links(path.read_text("utf-8")):
        file = path.parent / target if target else path
        assert file.exists(), f"{path.name} links to {target}, which does not exist"
        assert file.is_file() or any(file.iterdir()), f"{path.name} links to {target}, an empty folder, which git drops"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{path.name} links to {target}#{anchor}"


def write_files(document, folder):
    """Writes the files that a document shows, which its commands and snippets use."""
    for block in BLOCKS:
        if block.document == document and block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


def runs_in_order(block):
    """Whether a command `python FILE.py` of the same document runs a block, which then needs what stands before it."""
    lines = [
        words
        for each in BLOCKS
        if each.document == block.document and each.language == "sh" and not each.not_run
        for words in commands(each.text)
    ]
    return block.file is not None and ["python", block.file] in lines


def fault_of(words):
    """The fault of a command line that a document shows; None if it could be run."""
    match words:
        case ["nas", name, *rest]:
            command = typer.main.get_command(app).commands.get(name)
            if command is None:
                return f"there is no command {name!r}"
            known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
            unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
            return f"there is no option {unknown[0]!r}" if unknown else None
        case ["make", *targets]:
            known = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
            unknown = [target for target in targets if "=" not in target and target not in known]
            return f"there is no target {unknown[0]!r}" if unknown else None
        case ["pip", "install", *rest]:
            parser = configparser.ConfigParser()
            parser.read(ROOT / "setup.cfg", encoding="utf-8")
            asked = {extra for word in rest for found in re.findall(r"\[(.*)\]", word) for extra in found.split(",")}
            unknown = sorted(asked - {*parser["options.extras_require"]})
            return f"there is no extra {unknown[0]!r}" if unknown else None
        case ["python", "-m", module, *_] if module.startswith("nas."):
            place = ROOT.joinpath(*module.split("."))
            there = place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
            return None if there else f"there is no module {module!r}"
        case ["python", script] if script.endswith(".py"):
            return None if any(block.file == script for block in BLOCKS) else f"no document shows a file {script!r}"
        case ["git", "clone", *_] | ["cd", *_]:
            return None
    return "this test cannot check it; use a ```text block"
