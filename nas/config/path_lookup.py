"""Places where the relative paths of a config are looked for: the working directory, then the config's folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import shown
from .schema import KeyFault
from .toml import BACKSLASHES

log = logging.getLogger(__name__)


def log_note(text: str) -> None:
    """Logs a remark."""
    log.info("%s", text)


@dataclass(frozen=True)
class PathLookup:
    """Search for the files of a config.

    Attributes:
        folder: Folder of the config file; None for a config without a file, whose paths are those of the working
            directory.
        given: Paths of keys whose values were given on the command line. They are of the working directory too.
        note: Receiver of a line on a file that is beside the config.
    """

    folder: Path | None = None
    given: Sequence[tuple[str, ...]] = ()
    note: Callable[[str], None] = log_note

    def absolute(self, text: str, keys: tuple[str, ...], *, new: bool = False) -> str:
        """The absolute path of a file or folder.

        Args:
            text: The path as the config has it; ~ stands for the home folder.
            keys: Path of its key in the config.
            new: Whether it need not exist yet.

        Raises:
            KeyFault: A relative path leads to nothing from both folders, where these differ.
        """
        path = Path(os.path.expanduser(text))  # Path.expanduser raises for an unknown user
        here = path.absolute()
        self._check_escapes(text, here, keys)
        if path.is_absolute() or self.folder is None or any(keys[: len(each)] == each for each in self.given):
            return str(here)
        beside = (self.folder / path).absolute()
        if os.path.realpath(beside) == os.path.realpath(here):
            return str(here)
        exists_here, exists_beside = os.path.exists(here), os.path.exists(beside)
        if exists_here and exists_beside:
            self.note(f"{'.'.join(keys)}: {here} is taken, and not {beside}, which is beside the config")
        elif exists_beside:
            self.note(f"{'.'.join(keys)}: {beside} is taken, which is beside the config")
            return str(beside)
        elif not exists_here and not new:
            raise KeyFault(
                f"there is no file or folder {shown(text)}, neither as {here} nor, beside the config, as {beside}; "
                "give its path from one of these two folders, or an absolute one",
                keys,
            )
        return str(here)

    def _check_escapes(self, text: str, here: Path, keys: tuple[str, ...]) -> None:
        """Refuses a path of Windows in which \\t or \\n became a control character, where there is no such file."""
        if not text.isprintable() and any(ord(letter) < 32 for letter in text) and not os.path.exists(here):
            raise KeyFault(
                f"the path {shown(text)} holds a tab or another control character, which is what \\t, \\n and others "
                f"stand for in double quotes; {BACKSLASHES}",
                keys,
            )
