"""Rendering of pages: templates, the page's security policy, and the file."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

from ..errors import READ_ONLY, ConfigError

TEMPLATES = Path(__file__).parent / "templates"
TABLES, LIVE = "tables.js", "live.js"
"""Scripts: of every page, and of a served page besides."""


def rendered(page: object, template: str = "page.html.j2", *, live: bool = False) -> str:
    """A page as HTML.

    Nothing is loaded from anywhere, and only the scripts of this package run, whatever a name in the page holds: the
    page's policy allows them by their digests.

    Args:
        page: The page's contents.
        template: Its template.
        live: Whether the page is served, so that it may ask the server whether the run has gone on.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    scripts = [(TEMPLATES / name).read_text("utf-8") for name in ((TABLES, LIVE) if live else (TABLES,))]
    return environment.get_template(template).render(page=page, scripts=scripts, policy=_policy(scripts, live))


def _policy(scripts: list[str], live: bool) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    connect = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:{connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def write_text(path: Path, text: str, remedy: str = "choose another place") -> None:
    """Writes a page; an older one is replaced in one step.

    Args:
        path: The file.
        text: Its content.
        remedy: What to do where it cannot be written.

    Raises:
        ConfigError: `path` cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:12]}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno in READ_ONLY:
            raise ConfigError(
                f"{path.name} cannot be written: the folder {path.parent} is read-only ({error.strerror}); {remedy}"
            ) from error
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; {remedy}") from error
