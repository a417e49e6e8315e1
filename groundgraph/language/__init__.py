"""Captions to entities, triplets and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from groundgraph.errors import InputError


class _Lazy(Mapping):
    """Names to classes, each imported when it is asked for: spaCy takes a second that not every command needs."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places

    def __getitem__(self, name: str) -> type:
        module, _, attribute = self.places[name].partition(":")
        return getattr(import_module(module), attribute)

    def __iter__(self):
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


PARSERS = _Lazy({"rules": "groundgraph.language.parser:RuleParser"})


def load_parser(name: str = "rules", **options: Any):
    """A parser by its registered name; options go to its constructor. Raises InputError for an unknown name."""
    if name not in PARSERS.places:
        raise InputError(f"no parser {name!r}; known: {', '.join(PARSERS)}")
    return PARSERS[name](**options)
