"""What is printed: foreign names cannot steer a terminal, and no character ends a command that a pipe cannot take."""

from __future__ import annotations

import json
import sys
import unicodedata
from importlib.util import find_spec
from typing import Any

from rich import console
from rich.text import Text


def visible(text: str) -> str:
    """The text without control characters but newlines and tabs; lone surrogates become question marks."""
    text = text.encode("utf-8", "replace").decode()
    if text.isprintable():
        return text
    # Cc moves a terminal's cursor; Cf (marks of direction, joiners) is part of some scripts and stays.
    kept = (c for c in text if c.isspace() or unicodedata.category(c) != "Cc")
    return "".join(" " if c.isspace() and c not in "\n\t" else c for c in kept)


class Console(console.Console):
    """rich's, for text that others wrote: it prints `visible` text, and only a table is wrapped to the width.

    In a notebook it draws its bars by ipywidgets where they are installed. Without them it prints lines, as into a
    pipe: rich would warn at every movement of a bar, and would show there what is meant for a file.
    """

    def __init__(self, **options: Any) -> None:
        defaults: dict[str, Any] = {"highlight": False, "emoji": False}
        if "ipykernel" in sys.modules and (options.get("file") is not None or find_spec("ipywidgets") is None):
            defaults |= {"force_jupyter": False, "force_terminal": False}
        super().__init__(**defaults | options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, wrapped to the width only where something is no string."""
        options.setdefault("soft_wrap", all(isinstance(shown, str) for shown in objects))
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render markup without the characters that steer a terminal."""
        return super().render_str(visible(text), **options)


def print_anywhere() -> None:
    """Let stdout and stderr escape what their encoding lacks (a cp1252 or ASCII pipe) instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print a value as JSON, with its letters as they are where the output is some UTF, escaped where it is not."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    print(json.dumps(value, indent=2, ensure_ascii=not encoding.lower().startswith("utf")))
