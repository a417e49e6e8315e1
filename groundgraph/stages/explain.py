"""What is wrong with a recipe, in its writer's words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any

from pydantic import BaseModel

_SHORT = Repr()  # a value that refers to itself ten times ten times over is not written out
_SHORT.maxlevel, _SHORT.maxstring = 2, 80


def explain(
    error: Any, recipe: type[BaseModel], kinds: Mapping[str, type[BaseModel]], old_keys: Mapping[str, str]
) -> str:
    """One of pydantic's errors; for an unknown key the new name of an old one, or the nearest known one.

    Args:
        error: Of `ValidationError.errors`.
        recipe: The model that a recipe is checked by.
        kinds: Kind of data or of parser -> the model of its part, which pydantic lists among an error's keys.
        old_keys: Old key -> new key.
    """
    path = _path(error)
    key = ".".join(path)
    if error["type"] != "extra_forbidden":
        whole_parser = path[:1] == ["parser"] and isinstance(error.get("input"), dict)
        shown = "" if whole_parser or _secret(error, path) else f" (got {_SHORT.repr(error.get('input'))})"
        return f"`{key}`: {error['msg'][0].lower()}{error['msg'][1:]}{shown}"
    if key in old_keys:
        return f"`{key}` is called `{old_keys[key]}` now"
    keys = _keys(recipe, [str(part) for part in error["loc"][:-1]], kinds)
    close = difflib.get_close_matches(path[-1], keys, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"`{key}` is no key of a recipe; {hint}known here: {', '.join(keys)}"


def setting_of(error: Any, settings: Sequence[str]) -> str:
    """The last setting that gave an error's key or a part of it, as it was written; empty where the file did."""
    key = ".".join(_path(error))
    matching = [s for s in settings if (key + ".").startswith(s.partition("=")[0] + ".")]
    if not matching:
        return ""
    name = matching[-1].partition("=")[0]
    return f"--set {name if _secret(error, name.split('.')) else matching[-1][:200]}"


def _secret(error: Any, path: Sequence[str]) -> bool:
    """Whether what is given under a key may be or hold a server's key, which no message repeats."""
    return error["type"] == "secret" or list(path) == ["parser"] or any("key" in part for part in path[-1:])


def _path(error: Any) -> list[str]:
    """An error's place as keys; of which kind data or a parser are is none, unless that is what is wrong."""
    loc = error["loc"]
    path = [str(part) for i, part in enumerate(loc) if i != 1 or loc[0] not in ("data", "parser")]
    wrong_kind = error["type"].startswith("union_tag")
    return [*path, error["ctx"]["discriminator"].strip("'")] if wrong_kind else path


def _keys(model: type[BaseModel], path: Sequence[str], kinds: Mapping[str, type[BaseModel]]) -> list[str]:
    """The keys that a part of a recipe has."""
    for part in path:
        if part in kinds:
            model = kinds[part]
        elif part in model.model_fields:
            annotation = model.model_fields[part].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return list(model.model_fields)
