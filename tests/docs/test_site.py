"""The site builds without a warning, holds what it should, and needs nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings")
pytest.importorskip("latex2mathml")
pytest.importorskip("mkdocs_awesome_nav")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert built.returncode == 0, built.stdout + built.stderr
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*.html")}


@pytest.mark.slow
def test_every_page_is_there_and_nothing_is_fetched(site):
    pages = {str(p.relative_to(ROOT / "docs").with_suffix(".html")) for p in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(site)
    for name, html in site.items():
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*"', html)
        fetched += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|preload)"[^>]*href="(?:https?:)?//[^"]*"', html)
        assert not fetched, name


@pytest.mark.slow
def test_equations_1_to_16_are_mathml_beside_their_code(site):
    concepts = "".join(html for name, html in site.items() if name.startswith("concepts/"))
    tags = re.findall(r"<mtext>\(([\d,\s]+)\)</mtext>", unescape(concepts))
    numbers = {int(n) for tag in tags for n in tag.split(",")}
    assert numbers == set(range(1, 17))
    assert "arithmatex" not in concepts and "$$" not in concepts
    for name in ("mil_loss", "object_targets", "region_scores", "fuse", "distillation_loss", "sgg_loss"):
        assert re.search(rf'<span class="nf">{name}</span>', concepts), name


@pytest.mark.slow
def test_commands_keys_and_functions_are_listed(site):
    from groundgraph.cli import app

    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f"<code>groundgraph {name}</code>" in site["reference/commands.html"]
    for key in ("data.setting", "grounding.fusing", "sgg.training.loss.overlapping", "teachers.interaction.layer"):
        assert f"<code>{key}</code>" in site["reference/recipe.html"]
    packages = {p.parent.name for p in (ROOT / "groundgraph").glob("*/__init__.py")} - {"cli"}
    assert {f"reference/{name}.html" for name in packages} <= set(site)
    assert 'id="groundgraph.teachers.interaction.InteractionTeacher"' in site["reference/teachers.html"]
