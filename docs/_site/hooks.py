"""What the site's pages need beyond mkdocs: formulas as MathML, links into the code, the commands and keys."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
from keys import keys  # noqa: E402

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)
OUTWARD = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)\)")


def on_page_markdown(markdown: str, page, **_) -> str:
    """What a page holds a place for; and links out of docs/ become the file's name, for which the site has no page."""

    def named(match: re.Match) -> str:
        text, target = match.groups()
        path = (ROOT / "docs" / page.file.src_uri).parent.joinpath(target).resolve()
        if path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT) or not path.exists():
            return match[0]
        name = str(path.relative_to(ROOT))
        return f"`{name}`" if text.strip("`") in (name, path.name) else f"{text} (`{name}`)"

    markdown = OUTWARD.sub(named, markdown)
    for place, write in (("<!-- commands -->", commands), ("<!-- keys -->", keys)):
        if place in markdown:
            markdown = markdown.replace(place, write())
    return markdown


def commands() -> str:
    """The command line's reference, by typer's own tool."""
    words = [sys.executable, "-m", "typer", "groundgraph.cli", "utils", "docs", "--name", "groundgraph"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return unescape(told).replace("# `groundgraph`\n", "", 1)


def on_page_content(html: str, page, **_) -> str:
    """Every formula that arithmatex found, as MathML, which a browser draws without a script or a font.

    Among the concepts the code stands open below its equation.
    """
    if page.file.src_uri.startswith("concepts/"):
        html = html.replace('<details class="mkdocstrings-source">', '<details class="mkdocstrings-source" open>')

    def drawn(match: re.Match) -> str:
        formula = re.sub(r"\\tag\{(.*?)\}", r"\\qquad\\quad\\text{(\1)}", unescape(match[3]))
        return convert(formula, display="inline" if match[2] == "(" else "block")

    return FORMULA.sub(drawn, html)
