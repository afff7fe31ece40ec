"""Fenced blocks, links and commands of the Markdown documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.project import ROOT

FENCE = re.compile(r"(`{3,})(\w*)$")
MARK = re.compile(r"<!--\s*(file|not run):\s*(.*?)\s*-->$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OUTSIDE = ("http://", "https://", "mailto:")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        document: Path of the document from the root.
        line: Line of the opening fence.
        language: The word after the fence.
        text: The lines between the fences.
        file: Name that the block is written to, from a comment on the line before: `<!-- file: my_space.py -->`.
        not_run: Why the block is not run, from such a comment: `<!-- not run: needs images of your own -->`.
    """

    document: str
    line: int
    language: str
    text: str
    file: str | None = None
    not_run: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[Path]:
    """The Markdown files at the root and in docs/, without those of the built site."""
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
    return sorted([*ROOT.glob("*.md"), *pages])


def blocks_of(name: str, text: str) -> list[Block]:
    """The fenced blocks of a document. Raises ValueError for a block without an end or a bad fence."""
    found: list[Block] = []
    lines = list(enumerate(text.splitlines(), start=1))
    before = ""
    while lines:
        number, line = lines.pop(0)
        if not line.startswith("```"):
            before = line.strip() or before
            continue
        fence = FENCE.match(line.rstrip())
        body: list[str] = []
        while lines and lines[0][1].rstrip() != (fence[1] if fence else "```"):
            body.append(lines.pop(0)[1])
        if fence is None or not lines:
            raise ValueError(f"{name}:{number}: a fence is ``` and one word, and ends with ```")
        lines.pop(0)
        mark = MARK.match(before)
        marks = {mark[1].replace(" ", "_"): mark[2]} if mark else {}
        found.append(Block(name, number, fence[2], "\n".join(body) + "\n", **marks))
        before = ""
    return found


def all_blocks() -> list[Block]:
    """The blocks of all documents."""
    return [
        block for path in documents() for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell block, without comments and empty lines; continued lines are joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def links(text: str) -> Iterator[tuple[str, str]]:
    """The (path, anchor) of each link within the project, except those in fenced blocks and inline code."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in LINK.findall(prose):
        if not target.startswith(OUTSIDE):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a document."""
    headings = re.findall(r"^#+ +(.*?) *$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
