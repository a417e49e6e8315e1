"""A package's registry: a plain dict in its `__init__.py` from a name to a class, or to where it is, "module:name"."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from groundgraph.errors import InputError


def lookup(registry: Mapping[str, Any], name: str, kind: str) -> Any:
    """Return what a registry has under a name, imported now where the registry only says where it is.

    Args:
        registry: Name -> class or function, or "module:attribute" where the import is dear.
        name: The name asked for.
        kind: What the registry holds, for the message: "parser".

    Raises:
        InputError: The registry has no such name; the message lists those it has.
    """
    if name not in registry:
        raise InputError(f"there is no {kind} {name!r}: choose one of {', '.join(registry)}")
    entry = registry[name]
    if not isinstance(entry, str):
        return entry
    module, _, attribute = entry.partition(":")
    return getattr(import_module(module), attribute)
