"""The keys of a recipe as Markdown, from the models that check it and the descriptions of their fields."""

from __future__ import annotations

import json
import os
from html import escape
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def keys() -> str:
    """A section a part of a recipe, parts of a part right behind it: the docstring, the keys, what they mean."""
    from groundgraph.stages.recipe import Recipe

    return "\n\n".join(_part("", "", Recipe))


def _part(title: str, prefix: str, model: type[BaseModel]) -> list[str]:
    rows, below = [], []
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        inner = _models(field.annotation)
        if len(inner) > 1:  # kinds of data or of parsers, told apart by one of their keys
            kind = str(field.discriminator)
            kinds = [" or ".join(f"`{s}`" for s in get_args(m.model_fields[kind].annotation)) for m in inner]
            below += [part for m, s in zip(inner, kinds, strict=True) for part in _part(f"{key}, {kind} {s}", key, m)]
        else:
            below += [part for m in inner for part in _part(f"`{key}`", key, m)]
        nullable = " or null" if inner and type(None) in get_args(field.annotation) else ""
        values = f"see below{nullable}" if inner else _values(field.annotation)
        default = "" if inner or field.is_required() else f"`{json.dumps(_default(field))}`"
        rows.append(f"| `{key}` | {_cell(field.description or '')} | {values} | {default} |")
    table = "\n".join(["| key | meaning | values | default |", "|---|---|---|---|", *rows])
    return ["\n\n".join(filter(None, [title and f"## {title}", cleandoc(model.__doc__ or ""), table])), *below]


def _cell(text: str) -> str:
    """A description in a table's cell."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _default(field: FieldInfo) -> Any:
    """A key's default; a folder of the working directory as it is there, not on the machine that builds the site."""
    value = field.get_default(call_default_factory=True)
    return Path(os.path.relpath(value)).as_posix() if isinstance(value, str) and os.path.isabs(value) else value


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The parts of a recipe that a type is or may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _values(annotation: Any) -> str:
    """A type in a reader's words: `a`, `b` for a choice, else its name."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join("null" if part is type(None) else _values(part) for part in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _values(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return f"list of {_values(get_args(annotation)[0])}"
    return {bool: "true, false", int: "whole number", float: "number", str: "text"}.get(annotation, "mapping")
