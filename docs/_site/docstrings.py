"""This package's docstrings as Markdown.

They are plain text: sentences, `code`, lists, and columns of names with what they mean, such as

    boxes   [V, 4] float32 xyxy in pixels
    labels  [V] int64

which become definition lists. Anything else that Markdown would read as a sign is escaped.
"""

from __future__ import annotations

import re
from html import escape
from inspect import cleandoc

import griffe

CODE = re.compile(r"(``.*?``|`[^`]*`)", re.S)
SIGNS = re.compile(r"([\\*_\[\]{}#])")
NAMED = re.compile(r"^([\w`][\w`,. ()*@/-]*?)  +(\S.*)$|^(\w+(?:, \w+)*) (?=\[)(.*)$|^(returns) (.*)$")


def to_markdown(text: str) -> str:
    """A docstring's text as Markdown."""
    return "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", cleandoc(text)))


def _block(block: str) -> str:
    """One paragraph: prose lines first, then names with meanings; a line that is indented goes on with the last."""
    out: list[str] = []
    open_name = False
    for line in block.split("\n"):
        found = NAMED.match(line)
        if line.startswith(("- ", "* ")):
            out.append(("" if out and out[-1].startswith("- ") else "\n") + "- " + _escape(line[2:]))
        elif found:
            name, meaning = filter(None, found.groups())
            out.append(f"\n{_name(name)}\n:   {_escape(meaning)}")
            open_name = True
        elif line.startswith(" "):
            out.append(("    " if open_name else "  ") + _escape(line.strip()))
        else:
            out.append(("\n" if open_name else "") + _escape(line))
            open_name = False
    return "\n".join(out).strip("\n")


def _name(name: str) -> str:
    return ", ".join(part if "`" in part or part == "returns" else f"`{part}`" for part in name.split(", "))


def _escape(text: str) -> str:
    parts = CODE.split(text)
    return "".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    return SIGNS.sub(r"\\\1", escape(text, quote=False)).replace("$", "&dollar;")


class Docstrings(griffe.Extension):
    """Rewrites every docstring that is read."""

    def on_instance(self, *, obj: griffe.Object, **_) -> None:
        """The docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
