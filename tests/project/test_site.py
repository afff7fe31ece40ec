"""The documentation site: it builds without a warning, loads nothing from elsewhere, and has every page and name."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from helpers.browser import browser, needs_browser
from helpers.docs import blocks_of, links
from helpers.project import ROOT, module_name, needs_checkout, run, source_files

pytestmark = needs_checkout

DOCS = ROOT / "docs"
SHELVES = ("tutorials", "how-to", "concepts", "reference", "reference/api")
PAGES = sorted(path for kind in ("*.md", "*.rst") for path in DOCS.rglob(kind) if "_build" not in path.parts)
TOCTREE = re.compile(r"^:::\{toctree\}\n(?::[^\n]*\n)*\n(.*?)^:::$", re.DOTALL | re.MULTILINE)
NOT_PUBLIC = {"nas.cli", "nas.init", "nas.search_spaces.recipe"}
"""Packages with public names that serve the commands and the registry alone."""
PARTS_OF_PAGES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Attributes whose address a browser loads by itself."""


class Loaded(HTMLParser):
    """Addresses that a page loads from other places."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(PARTS_OF_PAGES.get(tag, "")) or ""
        if re.match(r"(https?:)?//", address):
            self.found.append(address)


def entries(index: Path) -> list[Path]:
    """The pages in the toctrees of a page."""
    names = [line for tree in TOCTREE.findall(index.read_text("utf-8")) for line in tree.split()]
    files = [[index.parent / f"{name}{kind}" for kind in (".md", ".rst")] for name in names]
    return [next((file for file in pair if file.is_file()), pair[0]).resolve() for pair in files]


def public_names(package: ModuleType) -> set[str]:
    """Classes and functions that a package offers."""
    offered = {name: getattr(package, name) for name in package.__all__}
    return {name for name, value in offered.items() if inspect.isclass(value) or inspect.isfunction(value)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built pages."""
    if any(find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")):
        pytest.skip("Sphinx, MyST or furo is not installed; `make docs` installs them")
    folder = tmp_path_factory.mktemp("site")
    ended = run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", folder], ROOT)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_page_is_in_one_table_of_contents() -> None:
    listed = [page for index in PAGES for page in entries(index)]
    assert sorted(listed) == [page for page in PAGES if page != DOCS / "index.md"]


@pytest.mark.parametrize("shelf", SHELVES)
def test_an_index_names_its_pages_in_the_order_of_its_table_of_contents(shelf: str) -> None:
    index = DOCS / shelf / "index.md"
    linked = [(index.parent / target).resolve() for target, _ in links(index.read_text("utf-8"))]
    assert linked == entries(index)
    assert {page.parent for page in linked} <= {index.parent, index.parent / "api"}


def test_the_first_page_shows_the_result_of_the_readme() -> None:
    shown = [block.text for block in blocks_of("index.md", (DOCS / "index.md").read_text("utf-8"))]
    readme = {block.text for block in blocks_of("README.md", (ROOT / "README.md").read_text("utf-8"))}
    assert shown[1] in readme
    assert "difference" in shown[1]


def test_the_page_of_commands_is_current() -> None:
    text = runpy.run_path(str(DOCS / "commands_page.py"))["text"]()
    page = DOCS / "reference" / "commands.md"
    assert page.read_text("utf-8") == text, "write it anew with `python docs/commands_page.py`"


def test_every_public_package_has_a_page() -> None:
    faces = {module_name(path) for path in source_files() if path.name == "__init__.py"}
    public = {face for face in faces if getattr(importlib.import_module(face), "__all__", ())} - NOT_PUBLIC
    assert public <= {page.stem for page in PAGES if page.suffix == ".rst"}


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    assert Loaded('<img src="https://a.b/c.png"><a href="https://a.b"></a><link href="//a.b/c.css">').found == [
        "https://a.b/c.png",
        "//a.b/c.css",
    ]
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    assert {page.name: found for page in pages if (found := Loaded(page.read_text("utf-8")).found)} == {}
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", sheet.read_text("utf-8")), sheet


@needs_browser
def test_pages_fit_a_phone_and_nothing_complains(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.look(width=360, height=740, dark=True)
        for page in ("index", "reference/file-formats", "reference/commands", "reference/api/nas.search"):
            tab.open((site / f"{page}.html").as_uri())
            assert tab.run("document.documentElement.scrollWidth") <= 360, page
        assert tab.complaints == []


def test_pages_of_packages_have_all_public_names(site: Path) -> None:
    missing = []
    for page in (page for page in PAGES if page.suffix == ".rst"):
        package = importlib.import_module(page.stem)
        built = (site / page.relative_to(DOCS)).with_suffix(".html").read_text("utf-8")
        names = public_names(package) if hasattr(package, "__all__") else set()
        missing += [f"{page.stem}.{name}" for name in sorted(names) if f'id="{page.stem}.{name}"' not in built]
    assert missing == ["nas.NasError"]  # which is on the page of nas.errors
