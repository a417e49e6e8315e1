"""Data sets of boxes with relations: each format's reader gives the same images, and this makes examples of them.

An image's supervision is the set of its triplets of names (setting unlocalized_graph), or its captions where the data
have some; the boxes are the truth that is measured against, that `grounder: full` is trained on, and that `detector:
{kind: annotated}` proposes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import inside
from groundgraph.data.images import ImageError
from groundgraph.data.published import PublishedPart, coco_part
from groundgraph.data.sources.boxed import boxed_example, picture_of
from groundgraph.data.sources.graph_config import GraphData, RefCocoData, VcocoData
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages
from groundgraph.formats.coco_relations import read_coco_relations
from groundgraph.formats.flickr30k_entities import read_flickr30k
from groundgraph.formats.gqa import read_gqa
from groundgraph.formats.hico_det import read_hico
from groundgraph.formats.label_studio import read_label_studio
from groundgraph.formats.open_images import read_open_images
from groundgraph.formats.psg import read_psg
from groundgraph.formats.refcoco import read_refcoco
from groundgraph.formats.vcoco import read_vcoco

# source of a recipe's data -> who reads the images of a split.
READERS: dict[str, Callable[[Any, str, Skipped], BoxedImages]] = {
    "coco-relations": lambda data, split, skipped: read_coco_relations(_file(data, split), skipped),
    "label-studio": lambda data, split, skipped: read_label_studio(_file(data, split), skipped),
    "psg": lambda data, split, skipped: read_psg(_file(data, split), split, skipped),
    "gqa": lambda data, split, skipped: read_gqa(_file(data, split), data.place(data.names), split, skipped),
    "open-images": lambda data, split, skipped: read_open_images(
        _file(data, split), data.place(data.names), split, skipped
    ),
    "flickr30k-entities": lambda data, split, skipped: read_flickr30k(_file(data, split), data.place(""), skipped),
    "hico-det": lambda data, split, skipped: read_hico(_file(data, split), data.place(data.names), split, skipped),
    "vcoco": lambda data, split, skipped: _vcoco(data, split, skipped),
    "refcoco": lambda data, split, skipped: _refcoco(data, split, skipped),
}


def _vcoco(data: VcocoData, split: str, skipped: Skipped) -> BoxedImages:
    return read_vcoco(_file(data, split), [data.place(name) for name in data.instances], skipped)


def _refcoco(data: RefCocoData, split: str, skipped: Skipped) -> BoxedImages:
    instances = data.place(data.instances) if data.instances else None
    return read_refcoco(_file(data, split), instances, data.part_of(split), skipped)


class GraphSource:
    """The splits of a `GraphData`. A file is read once, when a split of its is first asked for."""

    def __init__(self, data: GraphData, images: Path) -> None:
        self.data = data
        self._read: dict[str, tuple[BoxedImages, Skipped]] = {}

    def needs(self) -> list[Need]:
        """The annotations and the folder of the pictures."""
        data, (origin, pictures) = self.data, self.data.origins
        required = [Need("annotations", str(p), origin, parts=self._published(p)) for p in data.annotations()]
        if data.images is not None:
            folder = data.place(data.images)
            parts = tuple(part for name in data.coco for part in coco_part(folder / name))
            required.append(Need("images", str(folder), pictures, parts=parts))
        return required

    def _published(self, path: Path) -> tuple[PublishedPart, ...]:
        """What may be fetched of an annotations file."""
        if name := self.data.published.get(path.name):
            return (PublishedPart(archive=name, member="", place=path),)
        return coco_part(path) if self.data.coco else ()

    def pictures(self) -> list[Path]:
        """The pictures that the annotations name; none without a folder of them."""
        if self.data.images is None:
            return []
        folder = self.data.place(self.data.images)
        return [_picture(image, folder) for split in self.data.splits for image in self._split(split)]

    def vocabularies(self) -> Vocabularies | None:
        """The categories and predicates that the training file lists; None: it lists none."""
        return self._file("train")[0].vocabularies

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """A split's examples in the order of its file.

        Left out and recorded: images without a relation or caption, and those whose picture cannot be used.

        Raises:
            InputError: A file or the folder of the pictures is missing or damaged, or too many images are held out.
        """
        listed = self._split(split)
        if self.data.file_of(split) is not None:
            skipped.items += self._file(split)[1].items
        most = {"train": self.data.train, "test": self.data.test}.get(split)
        folder = None if self.data.images is None else self.data.place(self.data.images)
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: no such image folder; name it in data.images, or null for none")
        examples, cut = [], _mostly_inside(listed)
        with progress(f"reading {split} images", len(listed[:most])) as advance:
            for image in listed[:most]:
                if example := boxed_example(image, folder, skipped, cut):
                    examples.append(example)
                advance(1)
        return examples

    def _file(self, split: str) -> tuple[BoxedImages, Skipped]:
        """What a split's file holds, and what is odd in it."""
        if split not in self._read:
            notes = Skipped()
            read = READERS[self.data.source]  # type: ignore[attr-defined]
            content = _once(read(self.data, split, notes), notes)
            if not content.images and notes.items:
                raise InputError(f"{_file(self.data, split)}: no image of it can be used ({notes.items[0][1]})")
            self._read[split] = content, notes
        return self._read[split]

    def _split(self, split: str) -> list[BoxedImage]:
        own = split != "train" and self.data.file_of(split) is not None
        return self._file(split)[0].images if own else self._drawn[split]

    @cached_property
    def _drawn(self) -> dict[str, list[BoxedImage]]:
        """The training file's images, and those of them that are held out, each in the file's order."""
        images, data = self._file("train")[0].images, self.data
        held = {"test": data.held_out or 0, "validation": data.validation}
        if images and sum(held.values()) >= len(images):
            raise InputError(
                f"{data.file_of('train')}: {len(images)} images have annotations, and {sum(held.values())} are to be "
                "held out: set data.held_out and data.validation lower"
            )
        drawn, parts = np.random.default_rng(data.seed).permutation(len(images)), {}
        for split, count in (*held.items(), ("train", len(images))):
            parts[split] = [images[row] for row in np.sort(drawn[:count]).tolist()]
            drawn = drawn[count:]
        return parts


def _once(content: BoxedImages, skipped: Skipped) -> BoxedImages:
    """The images, each id once: the first counts, and the others are recorded."""
    images: dict[str, BoxedImage] = {}
    for image in content.images:
        if images.setdefault(image.image_id, image) is not image:
            skipped.add(image.image_id, "an image of this id stands before it in the file; the first counts")
    return replace(content, images=list(images.values()))


def _mostly_inside(images: Sequence[BoxedImage]) -> bool:
    """Whether most boxes lie in the pictures that a file describes; else they are of another form, such as corners."""
    framed = [image for image in images if image.frame is not None and len(image.boxes)]
    if not framed:
        return False
    sizes = np.repeat([image.frame for image in framed], [len(image.boxes) for image in framed], axis=0)
    return bool(2 * inside(np.concatenate([image.boxes for image in framed]), sizes).sum() >= len(sizes))


def _picture(image: BoxedImage, folder: Path) -> Path:
    """Where its picture lies, or would."""
    try:
        return picture_of(image, folder)
    except ImageError:
        return folder / image.file_name


def _file(data: GraphData, split: str) -> Path:
    """A split's own file, which it has where it is read."""
    path = data.file_of(split)
    if path is None:
        raise InputError(f"data: no {split} annotations are named; set data.{split}_annotations")
    return path
