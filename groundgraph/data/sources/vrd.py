"""VRD without boxes (setting unlocalized_graph): an image's supervision is the set of its triplets of names.

The boxes are the truth that is measured against (and
what `detector: {kind: annotated}` proposes, in random order). Photos are optional.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from groundgraph.data.published import PublishedPart
from groundgraph.data.sources.boxed import boxed_example
from groundgraph.data.sources.config import VrdData
from groundgraph.data.sources.needs import Need
from groundgraph.data.text import read_json
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage
from groundgraph.formats.vrd import VrdImage, read_vrd, read_vrd_names

_ORIGIN = "the annotations of VRD (json_dataset.zip), cs.stanford.edu/people/ranjaykrishna/vrd"


class VrdSource:
    """The splits of a `VrdData`. Files are read once, when one of their splits is first asked for."""

    def __init__(self, data: VrdData, images: Path) -> None:
        self.data = data

    def needs(self) -> list[Need]:
        """The annotations, and what else the recipe names."""
        data = self.data
        train, test = data.place(data.train_annotations), data.place(data.test_annotations)
        required = [Need("training annotations", str(train), _ORIGIN, "4 MB", parts=_parts(train))]
        if data.held_out is None:
            origin = f"{_ORIGIN}; or measure on training images: --set data.held_out=1000"
            required.append(Need("test annotations", str(test), origin, "1 MB", parts=_parts(test)))
        if data.images is not None:
            required.append(Need("images", str(data.place(data.images)), "the photos of VRD", "2 GB"))
        if data.sizes is not None:
            required.append(Need("sizes of the images", str(data.place(data.sizes)), "your own"))
        return required

    def pictures(self) -> list[Path]:
        """The photos that the annotations name; none without a folder of photos."""
        if self.data.images is None:
            return []
        listed = [*self._training[0], *([] if self.data.held_out else self._test[0])]
        return [self.data.place(self.data.images) / image.name for image in listed]

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """A split's examples in the order of its file.

        Left out and recorded: images without a relation, and those whose photo is missing or is another's.

        Raises:
            InputError: A file is missing or damaged, or fewer images have relations than are to be held out.
        """
        own_file = split == "test" and self.data.held_out is None
        listed = self._test[0] if own_file else self._parts[split]
        if own_file or split == "train":
            skipped.items += (self._test if own_file else self._training)[1].items
        most = {"train": self.data.train, "test": self.data.test}.get(split)
        examples = []
        with progress(f"reading {split} images", len(listed[:most])) as advance:
            for image in listed[:most]:
                if example := self._example(image, skipped):
                    examples.append(example)
                advance(1)
        return examples

    @cached_property
    def _names(self) -> Vocabularies:
        return read_vrd_names(self.data.place(""))

    @cached_property
    def _training(self) -> tuple[list[VrdImage], Skipped]:
        return self._read(self.data.train_annotations)

    @cached_property
    def _test(self) -> tuple[list[VrdImage], Skipped]:
        if not self.data.place(self.data.test_annotations).exists():
            raise InputError(
                f"{self.data.place(self.data.test_annotations)}: no such file; put VRD's test annotations there, or "
                "measure on training images: --set data.held_out=1000"
            )
        return self._read(self.data.test_annotations)

    def _read(self, file: str) -> tuple[list[VrdImage], Skipped]:
        """The images with relations of a file, and what is odd in it."""
        notes = Skipped()
        images = read_vrd(self.data.place(file), self._names, notes)
        return [image for image in images if image.relations], notes

    @cached_property
    def _parts(self) -> dict[str, list[VrdImage]]:
        """The training images, and those of them that are held out, each in the file's order."""
        images, data = self._training[0], self.data
        held = {"test": data.held_out or 0, "validation": data.validation}
        if sum(held.values()) >= len(images):
            raise InputError(
                f"{data.place(data.train_annotations)}: {len(images)} images have relations, and "
                f"{sum(held.values())} are to be held out: set data.held_out and data.validation lower"
            )
        drawn, parts = np.random.default_rng(data.seed).permutation(len(images)), {}
        for split, count in (*held.items(), ("train", len(images))):
            parts[split] = [images[row] for row in np.sort(drawn[:count]).tolist()]
            drawn = drawn[count:]
        return parts

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        """Image: (width, height), of the file of sizes."""
        if self.data.sizes is None:
            return {}
        path = self.data.place(self.data.sizes)
        content = read_json(path, "JSON of image: [width, height]")
        sizes = {}
        for name, size in content.items() if isinstance(content, dict) else [("it", None)]:
            if not isinstance(size, list) or len(size) != 2 or not all(type(s) is int and s > 0 for s in size):
                raise InputError(f"{path}: {name} is not [width, height] in pixels; write {{image: [width, height]}}")
            sizes[name] = (size[0], size[1])
        return sizes

    def _example(self, image: VrdImage, skipped: Skipped) -> Example | None:
        """An image with its triplets and what they mean, None where its photo cannot be used."""
        folder = None if self.data.images is None else self.data.place(self.data.images)
        frame = None if folder is not None else self._sizes.get(image.name)
        own = BoxedImage(image.name, image.name, frame, image.boxes, image.labels, tuple(image.relations))
        return boxed_example(own, folder, skipped)


def _parts(place: Path) -> tuple[PublishedPart, ...]:
    """What may be fetched: the annotations under their published names."""
    if place.name not in ("annotations_train.json", "annotations_test.json"):
        return ()
    return (PublishedPart(archive="vrd-annotations", member=place.name, place=place),)
