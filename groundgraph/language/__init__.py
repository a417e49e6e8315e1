"""Captions to entities, triplets and embeddings; words to categories."""

from __future__ import annotations

from typing import Any

from groundgraph.registry import lookup

# Name -> class; imported when asked for, since spaCy takes a second.
PARSERS: dict[str, Any] = {"rules": "groundgraph.language.parser:RuleParser"}


def load_parser(name: str = "rules", **options: Any) -> Any:
    """Return a parser by its name in `PARSERS`.

    Args:
        name: A key of `PARSERS`.
        options: What its constructor takes, such as `model`.

    Raises:
        InputError: There is no such parser, or it lacks its model.
    """
    return lookup(PARSERS, name, "parser")(**options)
