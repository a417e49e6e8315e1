"""Recipe files that say only what differs from another: `extends: NAME`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from groundgraph.data.text import read_text
from groundgraph.errors import InputError
from groundgraph.stages.places import anchor

BUNDLED = Path(__file__).parents[1] / "recipes"  # whose paths are relative to the folder where a command runs
OWN = ("name", "note", "paper")  # what a recipe says of itself, and never takes over
KINDS = {"data": "source", "parser": "name"}  # parts of several kinds, and the key that says which


class RecipeError(InputError):
    """A recipe that cannot be used; the message names the file, the key and the fix."""


def read_recipe(path: Path, find: Callable[[str], Path]) -> dict[str, Any]:
    """A recipe's content with everything it extends filled in.

    `extends` names a bundled recipe, or a file relative to this one. Mappings are merged key by key, anything else is
    replaced; `data` or a `parser` of another kind than the extended recipe's replaces that whole. A recipe's name,
    note and figures of the paper are its own.

    Args:
        path: The recipe's file.
        find: A bundled recipe's name -> its file.

    Returns:
        The content; its paths, relative to the file that has them, are absolute.

    Raises:
        InputError: A file cannot be read, or recipes extend each other in a circle.
    """
    chain: list[Path] = []
    contents: list[dict[str, Any]] = []
    while True:
        if any(path.samefile(earlier) for earlier in chain if path.exists()):
            circle = " -> ".join(p.name for p in [*chain, path])
            raise RecipeError(f"{chain[0]}: recipes extend each other in a circle ({circle}); take one `extends` out")
        content = _mapping(path)
        parent = content.pop("extends", None)
        chain.append(path)
        contents.append(content)
        if parent is None:
            break
        if not isinstance(parent, str):
            raise RecipeError(f"{path}: `extends` names one recipe, a bundled one or a file; got {parent!r}")
        beside = path.parent / parent
        try:
            path = beside if beside.is_file() else find(parent)
        except RecipeError as error:
            here = f"neither {os.path.abspath(beside)} is there nor a bundled recipe of that name"
            raise RecipeError(f"{path}: `extends: {parent}`: {here}; `groundgraph recipes` lists those") from error
    merged: dict[str, Any] = {}
    for path, content in zip(reversed(chain), reversed(contents), strict=True):
        inherited = {key: value for key, value in merged.items() if key not in OWN}
        anchor(content, Path() if path.parent == BUNDLED else path.parent, _merge(inherited, content))
        merged = _merge(inherited, content)
    return merged


def _mapping(path: Path) -> dict[str, Any]:
    text = read_text(path, "a recipe")
    try:
        raw = yaml.safe_load(text)
    except RecursionError as error:
        raise RecipeError(f"{path}: YAML nested too deep; a recipe has three levels") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none
        raise RecipeError(f"{path}: not valid YAML ({str(error).splitlines()[0]}); mend it there") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a YAML mapping with at least `name` and `data`")
    return raw


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        kind = KINDS.get(key, "")
        both = isinstance(value, dict) and isinstance(old, dict)
        if both and value.get(kind, old.get(kind)) == old.get(kind):
            value = _merge(old, value)
        out[key] = value
    return out


def apply_setting(raw: dict[str, Any], setting: str) -> None:
    """Change a key of a recipe's content.

    Args:
        raw: The content, which is changed.
        setting: "a.b=value", the value being YAML.

    Raises:
        RecipeError: It is none.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: write key=value, with dots between levels: --set data.train=500")
    *parents, last = key.split(".")
    place = raw
    for parent in parents:
        if not isinstance(place.get(parent), dict):
            place[parent] = {}
        place = place[parent]
    try:
        place[last] = yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        raise RecipeError(
            f"--set {setting[:200]}: the value is not valid YAML ({str(error).splitlines()[0]})"
        ) from error
