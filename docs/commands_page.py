"""Writes docs/reference/commands.md from the program's own help: `python docs/commands_page.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import typer

from nas.cli import app

PAGE = Path(__file__).parent / "reference" / "commands.md"
HEAD = """# Commands

Each command prints its result on standard output, and progress and errors on standard error. Exit status: 0 done,
1 failed, 2 wrong usage or config, 130 interrupted. Runs are kept in the folder `runs`, or where the environment
variable `NAS_RUNS` says. `python docs/commands_page.py` writes this page from the program's help.

"""


def text() -> str:
    """The page: what `typer utils docs` writes of each command, under a table of contents."""
    written = subprocess.run(
        [sys.executable, "-m", "typer", "nas.cli", "utils", "docs", "--name", "nas"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sections = written[written.index("\n## ") + 1 :]
    sections = re.sub(r"```console\n\$ ", "```text\n", sections)
    sections = re.sub(r"^\* ", "- ", sections, flags=re.MULTILINE)
    return HEAD + "\n".join(_contents()) + "\n\n" + sections.strip() + "\n"


def _contents() -> list[str]:
    """A line for each command: a link to its section, and the first sentence of its help."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has commands
    return [
        f"- [`nas {name}`](#nas-{name}): {re.split(r'(?<=[.]) ', ' '.join(command.help.split()))[0]}"
        for name, command in commands.items()
    ]


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
