"""What goes into a page that needs nothing else: its style, its scripts, and what they show."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from groundgraph.errors import InputError

_HERE = Path(__file__).parent


def file_text(name: str) -> str:
    """One of this package's files: a style, a script, a licence."""
    return (_HERE / name).read_text(encoding="utf-8")


def script(name: str) -> tuple[Markup, str]:
    """One of our script files as it is put into the page, and its hash for the policy."""
    lines = file_text(name).split("\n")
    # A source map is another file, which the page does not have.
    text = "\n".join(line for line in lines if not line.startswith("//# sourceMappingURL"))
    if "</script" in text.lower() or "<!--" in text:
        raise InputError(f"{name} cannot be put into a page: it holds a tag that ends or hides a script")
    return Markup(text), base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded(content: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element it stands in, whatever the captions say."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def templates() -> Environment:
    """This package's templates, which escape whatever is put in."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = _duration
    return environment


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
