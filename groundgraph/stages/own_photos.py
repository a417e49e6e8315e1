"""A folder of photos with captions as a recipe: `groundgraph run FOLDER`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from groundgraph.stages.recipe import Recipe, RecipeError, bundled_recipes, find_recipe, load_recipe


def open_recipe(target: str, settings: list[str], fast: bool = False) -> Recipe:
    """The recipe of a file, a bundled recipe's name, or a folder of photos, with some of its keys changed.

    A folder gets the bundled recipe own-photos (own-photos-fast) under its own name, which needs nothing but images and
    captions: the vocabulary is induced from what the captions say. A bundled recipe's name means that recipe, whatever
    lies around (write ./demo for a folder of that name).

    Args:
        target: A recipe's file, a bundled recipe's name, or a folder.
        settings: Keys to change, as of `load_recipe`.
        fast: Of a folder: without the interaction-aware teacher, by a smaller detector.

    Raises:
        RecipeError: As of `load_recipe`, where a folder has not one captions file, and where no folder is to be fast.
    """
    folder = Path(target)
    if target in bundled_recipes() or not folder.is_dir():
        recipe = find_recipe(target)
        if fast:
            raise RecipeError(
                f"{target}: a recipe, and --fast is for a folder of photos; leave it out, and choose the recipe's own "
                "models by --set (detector.model=..., teachers.interaction=null)"
            )
        return load_recipe(recipe, settings)
    name = "own-photos-fast" if fast else "own-photos"
    return load_recipe(find_recipe(name), [*photo_settings(folder, settings), *settings])


def photo_settings(folder: Path, settings: Sequence[str] = ()) -> list[str]:
    """The settings of own-photos that a folder makes.

    Images lie in the folder or its subfolder `images`; captions in the one *.jsonl or captions*.json of the folder or
    its subfolder `annotations`. COCO boxes, an instances*.json beside them, are measured against and never trained on.

    Args:
        folder: Of photos.
        settings: The user's, which may name the files.

    Raises:
        RecipeError: There is not one captions file, or more than one of boxes.
    """
    places = [place for place in (folder, folder / "annotations") if place.is_dir()]
    chosen = dict(setting.partition("=")[::2] for setting in settings)
    candidates = [
        path for place in places for pattern in ("*.jsonl", "captions*.json") for path in sorted(place.glob(pattern))
    ]
    if "data.captions" in chosen:
        candidates = [Path(chosen["data.captions"])]
    if not candidates and (folder / "recipe.yaml").is_file():
        again = shlex.join(["groundgraph", "run", str(folder / "recipe.yaml"), "--out", str(folder)])
        raise RecipeError(f"{folder}: a run's folder, not one of photos; go on with the run: {again}")
    if len(candidates) != 1:
        has = (
            f"has {len(candidates)} captions files ({', '.join(p.name for p in candidates)})"
            if candidates
            else "has no captions file"
        )
        raise RecipeError(
            f'{folder}: {has}; put one there, captions.json as COCO has it or lines of {{"image": NAME, "captions": '
            "[TEXT, ...]} in captions.jsonl, or name one: --set data.captions=FILE"
        )
    boxes = [path for place in places for path in sorted(place.glob("instances*.json"))]
    if len(boxes) > 1 and "data.instances" not in chosen:
        raise RecipeError(
            f"{folder}: has {len(boxes)} instances files ({', '.join(p.name for p in boxes)}); name the one to measure "
            "against: --set data.instances=FILE, or none: --set data.instances=null"
        )
    keys = {
        "name": folder.resolve().name,
        "note": f"The photos in {folder}. All of them are trained on; no box is ever seen in training.",
        "data.source": "jsonl" if candidates[0].suffix == ".jsonl" else "coco",
        "data.images": str(folder / "images" if (folder / "images").is_dir() else folder),
        "data.captions": str(candidates[0]),
        "data.instances": str(boxes[0]) if len(boxes) == 1 else None,
    }
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
