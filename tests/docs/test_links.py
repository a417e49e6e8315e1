"""Links between the repository's pages, and from them into the code, lead somewhere; so does every module they name."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
IMPORT = re.compile(r"^ *from (groundgraph[\w.]*) import|\[groundgraph((?:\.[a-z_]\w*)*)\.[A-Z]\w*\]", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_its_links_and_modules_are_there(page):
    text = page.read_text(encoding="utf-8")
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    modules = {full or f"groundgraph{part}" for full, part in IMPORT.findall(text)}
    assert not [module for module in modules if find_spec(module) is None]


def test_the_architecture_names_registries_that_there_are():
    from importlib import import_module

    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `([\w.]+)\.([A-Z_]+)`", text)
    assert len(rows) == 11
    for module, name in rows:
        assert isinstance(getattr(import_module(f"groundgraph.{module}"), name), dict), name
