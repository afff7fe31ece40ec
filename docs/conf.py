"""Configuration of the documentation site, which `make docs` builds with Sphinx."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

import nas

project = "adaptnas"
version = release = nas.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Pages are Markdown. Anchors of headings are GitHub's, so that a link works in both places; directives stand between
# colons, so that each block between backquotes is a snippet, which the tests run.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Docstrings are Google style, with names between single backquotes.
default_role = "code"
smartquotes = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# The theme loads no font, script or style from elsewhere.
html_theme = "furo"
html_title = f"adaptnas {version}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)(?:#[^)\s]*)?\)")
OBJECT = re.compile(r"<[^<>]*>")


def link_to_copies(app: Sphinx, page: str, content: list[str]) -> None:
    """Makes links to files outside docs/ downloads, of which the site has copies, and links to folders plain text."""
    folder = app.srcdir / Path(page).parent

    def link(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        if target.is_relative_to(app.srcdir):
            return match[0]
        return match[1] if target.is_dir() else f"[{match[1]}](path:{match[2]})"

    content[0] = LINK.sub(link, content[0])


def simplify_signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    documented: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Writes defaults without a source, such as `<factory>` of a dataclass, as `...`; a Protocol has no constructor."""
    if signature is None or getattr(documented, "_is_protocol", False):
        return None, returns
    return OBJECT.sub("...", signature), returns


def setup(app: Sphinx) -> None:
    """Registers the two functions above."""
    app.connect("source-read", link_to_copies)
    app.connect("autodoc-process-signature", simplify_signature)
