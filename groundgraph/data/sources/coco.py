"""COCO: a captions file and an image folder, with an instances file as ground truth where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundgraph.data.images import ImageError, locate
from groundgraph.data.sources.coco_truth import add_truth
from groundgraph.data.text import plain
from groundgraph.data.types import Example, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.coco_annotations import entries, image_id, read_listing, text


def read_coco(
    captions: str | Path, images: str | Path, skipped: Skipped, instances: str | Path | None = None
) -> list[Example]:
    """The examples of a COCO captions file, in the order of its image list.

    One picture listed under two ids is one image, recorded.

    Args:
        captions: JSON with `images` (id, file_name) and `annotations` (image_id, caption).
        images: The folder that file_name is relative to.
        skipped: Gets what is left out: images that are missing, without a caption, listed twice or outside the folder;
            captions that are empty or no text; captions of images not listed.
        instances: As `coco_truth.add_truth` takes it.

    Raises:
        InputError: A file is not such JSON, or no caption is of a listed image; names file and fix.
    """
    listing = read_listing(captions, ("images", "annotations"))
    spoken: dict[str, list[str]] = {}
    for name, caption, _ in entries(listing, "annotations", {"image_id": image_id, "caption": text}, captions, skipped):
        if line := plain(caption):
            spoken.setdefault(name, []).append(line)
        else:
            skipped.add(name, f"an empty caption in {captions}")
    names: set[str] = set()
    by_path: dict[Path, tuple[str, Example]] = {}
    for name, file, _ in entries(listing, "images", {"id": image_id, "file_name": text}, captions, skipped):
        if name in names:
            skipped.add(name, f"image id {name} is listed twice in {captions}; the first counts")
            continue
        names.add(name)
        try:
            path = locate(images, file)
        except ImageError as error:
            skipped.add(name, str(error))
            continue
        if name not in spoken:
            skipped.add(name, f"{file} is listed without a caption in {captions}")
        elif path in by_path:
            first, example = by_path[path]
            skipped.add(name, f"{file} is image {example.image_id} in {captions} too; its captions are taken as that's")
            by_path[path] = first, replace(example, captions=(*example.captions, *spoken[name]))
        else:
            by_path[path] = file, Example(name, str(path), tuple(spoken[name]))
    unlisted = [name for name in spoken if name not in names]
    if names and unlisted and len(unlisted) == len(spoken):
        raise InputError(
            f"{captions}: no caption is of a listed image: image_id is such as {unlisted[0]!r}, the images' id such as "
            f"{min(names)!r}; give both the same ids"
        )
    for name in unlisted:
        skipped.add(name, f"{len(spoken[name])} captions of an image that {captions} does not list")
    examples = list(by_path.values())
    return [example for _, example in examples] if instances is None else add_truth(examples, instances, skipped)
