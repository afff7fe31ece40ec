"""Line numbers of keys in TOML texts, compared with those that a parse of every prefix of the text gives."""

from __future__ import annotations

import random
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from nas.config.reading import LONGEST
from nas.config.toml import override, parse, place
from nas.errors import ConfigError

KEYS = ("a", "b", "c", '"a.b"', "'x y'", r'"q\"]"', r'"\u00e9"', "1", "-", "a.b", "b . c", '"\\u0061".c', "a.b.c")
VALUES = (
    "1",
    "'lit # ['",
    '"""\nmulti [\n# no\n"""',
    '""""q"""""',
    "'''\n]''\n'''",
    "[1,\n 2, # c ]\n [3]\n]",
    "{a=1, b={c=[1,\n2]}}",
    "[{a=1}, {b=2}]",
    '""',
    "''",
    '"""\\\n  x\\""""""',
    r'"\\"',
    r'"a\"["',
    '""""""',
)


def valid_text(rng: random.Random) -> str:
    """A valid TOML text of up to ten statements and comments."""
    text = ""
    for _ in range(10):
        key, indent = rng.choice(KEYS), rng.choice(("", "  ", "\t"))
        forms = (f"[{key}] # ] [", f"[[{key}]]", f'{key} = {rng.choice(VALUES)} # "', f"{key} = 1", "# [a]\n")
        longer = f"{text}{indent}{rng.choice(forms)}\n"
        try:
            tomllib.loads(longer)
        except ValueError:
            continue
        text = longer
    return text


def paths(table: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """The paths of all keys, those in arrays of tables included, and of missing keys below each."""
    for key, value in table.items():
        yield from ((*above, key), (*above, key, "none"), (*above, key, "a", "none"))
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from paths(inner, *above, key)


def line_by_prefixes(text: str, path: tuple[str, ...]) -> int | None:
    """The line after the longest text that parses and lacks the key, where the next one that parses has it."""
    lines = text.split("\n")
    start = 1
    for end in range(1, len(lines) + 1):
        try:
            table: Any = tomllib.loads("\n".join(lines[:end]))
        except ValueError:
            continue  # it ends in the middle of a value
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        if table is not None:
            return start
        start = end + 1
    return None


@pytest.mark.parametrize("seed", range(60))
def test_the_line_of_every_key_is_the_one_that_parsing_each_prefix_gives(seed):
    text = valid_text(random.Random(seed))
    for path in set(paths(tomllib.loads(text))):
        lines = (line_by_prefixes(text, path[:length]) for length in range(len(path), 0, -1))
        line = next(filter(None, lines), None)
        assert place("f", text, path, ()) == (f"f:{line}" if line else "f"), (text, path)


@pytest.mark.parametrize(
    "text, path, line",
    [
        ("[a]\nb = 1\n[c]\nb = 2\n", ("c", "b"), 4),
        ("a.b = 1\nc = 1\na.d = 2\n", ("a", "d"), 3),
        ("[a.b.c]\n[a]\nd = 1\n", ("a", "b"), 1),
        ("[a]\n[[a.b]]\nc = 1\n[a.b.d]\n", ("a", "b", "d"), 2),
        ('x = """\n[a]\nb = 1\n"""\n[a]\nb = 1', ("a", "b"), 6),
        ("x = [\n  '[a]', # [a]\n]\na = {b = 1}\n", ("a", "b"), 4),
        ('["\\u0061"]\n"\\u0062" = 1\n', ("a", "b"), 2),
    ],
)
def test_the_line_is_that_of_the_statement(text, path, line):
    assert place("f", text, path, ()) == f"f:{line}"


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"a{i} = 1\n" for i in range(18_000)),
        "a = [\n" + "1,\n" * 64_000 + "]\n",
        "".join(f"[a.b{i}]\n" for i in range(18_000)),
        'a = """' + '"\\"\n' * 48_000 + '"""\n',
        '# "\n' * 48_000,
    ],
    ids=["keys", "array", "headers", "string", "comments"],
)
def test_the_last_line_of_the_longest_file_is_found_in_time_linear_in_its_length(text):
    assert LONGEST * 0.9 < len(text) < LONGEST
    start = time.process_time()
    assert place("f", f"{text}[z]\n", ("z",), ()) == f"f:{text.count(chr(10)) + 1}"
    assert time.process_time() - start < 5  # 0.1 to 0.3 s on an idle machine; a parse of every prefix takes hours


@pytest.mark.parametrize(
    "line, words",
    [
        (r'path = "C:\Users\me"', "in single quotes, such as 'C:\\data\\images', or with / in place of"),
        (r'path = "D:\images"', "in single quotes"),
        (r"path = C:\Users\me", "in single quotes"),
        ("path = “images”", "“ is a curly quote: write straight quotes, \" or '"),
        ("path = ‘images’", "‘ is a curly quote"),
        ("path = »images«", "» is a curly quote"),
    ],
)
def test_a_usual_slip_is_named_with_its_remedy(line, words):
    with pytest.raises(ConfigError) as refused:
        parse("f", f"[tasks]\n{line}\n")
    assert str(refused.value).startswith("f:2: this is not valid TOML: ")
    assert words in str(refused.value)


def test_other_faults_have_no_such_remedy_and_an_override_in_curly_quotes_is_refused():
    with pytest.raises(ConfigError) as refused:
        parse("f", "[tasks]\na = 1 2\nb = “\n")
    assert "quote" not in str(refused.value)
    with pytest.raises(ConfigError, match="“ is a curly quote"):
        override({}, "tasks.path=“images”")
