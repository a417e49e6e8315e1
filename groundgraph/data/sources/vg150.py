"""Visual Genome (VG150) under the paper's three kinds of supervision (METHOD.md section 0), measured on its test split.

Splits, filters and order of the images are those of neural-motifs and Scene-Graph-Benchmark. What a setting trains on:

- unlocalized_graph: the training images that have relations, their relations as words.
- vg_caption: all training images, their region descriptions as captions (said twice of an image, a phrase counts once).
- coco_caption: COCO's images with captions, without those that are also in VG's test split.

The first 5,000 training images with relations are the validation images everywhere; under coco_caption those of them
that COCO has, with COCO's captions, and they are left out of training. Test images come with their true relations as
triplets, so that grounding is measured against known boxes; nothing is trained on them.
"""

from __future__ import annotations

import filecmp
import os
import re
from functools import cached_property
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import alike, inside, upright
from groundgraph.data.ids import id_text, name_text
from groundgraph.data.images import image_frame
from groundgraph.data.sources.coco import read_coco
from groundgraph.data.sources.config import Vg150Data
from groundgraph.data.sources.needs import Need
from groundgraph.data.sources.text_graphs import with_triplets
from groundgraph.data.sources.vg150_needs import VISUAL_GENOME, picture_parts, published_files
from groundgraph.data.types import Example, GroundTruth, Mention, ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.llm4sgg import read_text_graphs
from groundgraph.formats.vg150 import ListedImage, VgGraphs, read_graphs, read_image_list, read_phrases


class Vg150Source:
    """The splits of a `Vg150Data`. Files are read once, when a split is first asked for."""

    def __init__(self, data: Vg150Data, images: Path) -> None:
        self.data = data

    def needs(self) -> list[Need]:
        """The published files of the setting, with the pages they come from."""
        return published_files(self.data, self._pictures())

    def _pictures(self) -> Need:
        """The image folders: here as soon as a picture is, since all may lie in one; with how many there are."""
        places, size, there = ", ".join(map(str, self._folders)), "14.7 GB in two parts", 0
        parts = picture_parts(self._folders)
        try:
            there = sum(f"{image.id}.jpg" in self._paths for image in self._listed)
            size += f"; {there:,} of {len(self._listed):,} pictures are here"
            parts = parts if there < len(self._listed) else ()
        except ValueError:  # without the list or the folders there is nothing to count
            pass
        return Need("images", places, f"{VISUAL_GENOME} (images)", size, there=there > 0, parts=parts)

    def pictures(self) -> list[Path]:
        """All files of the image folders of the setting."""
        paths = [path for path in self._paths.values() if path is not None]
        if self.data.setting == "coco_caption":
            folders = [pictures for _, pictures in self.data.coco_pairs() if pictures.is_dir()]
            paths += [Path(entry.path) for folder in folders for entry in os.scandir(folder)]
        return sorted(paths)

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """A split's examples, in the order of the published files; COCO's in the order of its lists.

        Left out and recorded: images that are missing or broken, or without a caption or triplet.

        Raises:
            InputError: A published file is missing, damaged or does not go with the others; names file and fix.
        """
        test = np.flatnonzero(self._graphs.test & self._graphs.related)
        rows = {"train": self._train, "validation": self._validation, "test": test}[split]
        most = {"train": self.data.train, "test": self.data.test}.get(split)
        if split != "test" and self.data.setting == "coco_caption":
            return self._in_place(split, self._coco(split, skipped, progress), skipped)[:most]
        captioned = split != "test" and self.data.setting == "vg_caption"
        return self._read(rows, split, self._phrases(skipped) if captioned else None, most, skipped, progress)

    def _in_place(self, split: str, examples: list[Example], skipped: Skipped) -> list[Example]:
        """Training examples with the triplets of a file in place of their captions, where one is named."""
        if split != "train" or self.data.triplets is None:
            return examples
        path = self.data.place(self.data.triplets)
        return with_triplets(examples, read_text_graphs(path, skipped), path, skipped)

    @cached_property
    def _listed(self) -> list[ListedImage]:
        return read_image_list(self.data.place(self.data.image_list))

    @cached_property
    def _graphs(self) -> VgGraphs:
        data = self.data
        graphs = read_graphs(data.place(data.graphs), data.place(data.dictionary))
        if len(graphs.test) != len(self._listed):
            raise InputError(
                f"{data.place(data.graphs)} has {len(graphs.test):,} images, but {data.place(data.image_list)} lists "
                f"{len(self._listed):,} (the corrupt ones left out): the two must be of the same release"
            )
        outside = graphs.outside(self._listed)
        if outside > max(2, len(self._listed) // 50):  # a few are wrong in the published files
            raise InputError(
                f"{data.place(data.image_list)}: boxes of {outside:,} of its {len(self._listed):,} images lie outside "
                f"the width and height it says; its order is not that of {data.place(data.graphs)}: fetch both again"
            )
        return graphs

    @cached_property
    def _related(self) -> np.ndarray:
        """Rows of the training images with relations, the validation images first."""
        rows = np.flatnonzero(~self._graphs.test & self._graphs.related)
        if len(rows) <= self.data.validation:
            raise InputError(
                f"{self.data.place(self.data.graphs)}: {len(rows)} training images have relations, and "
                f"{self.data.validation} are to be held out: set data.validation lower"
            )
        return rows

    @property
    def _validation(self) -> np.ndarray:
        return self._related[: self.data.validation]

    @property
    def _train(self) -> np.ndarray:
        if self.data.setting == "unlocalized_graph":
            return self._related[self.data.validation :]
        # Captions need no annotated relation, so images without one are trained on too.
        rows = np.flatnonzero(~self._graphs.test)
        return rows[~np.isin(rows, self._validation)]

    @property
    def _folders(self) -> list[Path]:
        return [Path(self.data.folder).expanduser() / name for name in self.data.images]

    @cached_property
    def _paths(self) -> dict[str, Path | None]:
        """File name -> path of all pictures, None where two folders have two pictures of that name.

        Raises InputError where no image folder is there.
        """
        there = [folder for folder in self._folders if folder.is_dir()]
        if not there:
            raise InputError(f"{self._folders[0]}: no such image folder; see `groundgraph data check`")
        paths: dict[str, Path | None] = {}
        for entry in (entry for folder in there for entry in os.scandir(folder)):
            name, path = name_text(entry.name), Path(entry.path)
            other = paths.setdefault(name, path)
            if other is not None and other != path and not filecmp.cmp(other, path, shallow=False):
                paths[name] = None
        return paths

    def _phrases(self, skipped: Skipped) -> dict[int, tuple[str, ...]]:
        """Image id -> its region descriptions, of the images that are not in the test split."""
        if "phrases" not in self.__dict__:
            path = self.data.place(self.data.captions)
            trained = {self._listed[row].id for row in np.flatnonzero(~self._graphs.test)}
            every = {image.id for image in self._listed}
            self.__dict__["phrases"] = read_phrases(path, trained, every, skipped)
        return self.__dict__["phrases"]

    def _read(
        self,
        rows: np.ndarray,
        split: str,
        phrases: dict[int, tuple[str, ...]] | None,
        most: int | None,
        skipped: Skipped,
        progress: ProgressBar,
    ) -> list[Example]:
        """At most `most` examples of h5 rows: with captions where phrases are given, else with their relations."""
        examples: list[Example] = []
        drop = phrases is None and split == "train" and self.data.overlapping
        with progress(f"reading {split} images", len(rows)) as advance:
            for row in rows.tolist():
                if most is not None and len(examples) == most:
                    break
                advance(1)
                name = self._listed[row].id
                captions = () if phrases is None else phrases.get(name, ())
                if phrases is not None and not captions:
                    skipped.add(str(name), "an image without a region description")
                    continue
                example = self._example(row, captions, drop, skipped)
                if example is not None:
                    examples.append(example)
        return examples

    def _example(self, row: int, captions: tuple[str, ...], drop: bool, skipped: Skipped) -> Example | None:
        """An h5 row as an example, with its relations as triplets where there are no captions; None: recorded.

        drop  leave out relations whose two boxes do not overlap, and an image that has no other
        """
        image = self._listed[row]
        name, path = str(image.id), self._paths.get(f"{image.id}.jpg")
        if path is None:
            there = "two different ones are" if f"{name}.jpg" in self._paths else "it is not"
            skipped.add(name, f"its picture cannot be told: {there} in {', '.join(self.data.images)}")
            return None
        boxes, usable, labels, relations = self._graphs.image(row)
        if drop:
            relations = _overlapping(boxes, relations)
            if not len(relations):
                skipped.add(name, "no relation between boxes that overlap (data.overlapping)")
                return None
        try:
            # The picture's own size, since image_data.json has some wrong; its shape alone must be the listed one.
            size, orientation = image_frame(path)
            frame = image.size and next((s for s in (size, size[::-1]) if alike(image.size, s)), image.size)
            pixels = upright(boxes * max(size), frame, size, orientation)
        except InputError as error:
            skipped.add(name, f"{path}: {error}" if str(path) not in str(error) else str(error))
            return None
        usable = usable & inside(pixels, size)
        if not usable.all():
            both = usable[relations[:, :2]].all(1)
            skipped.add(
                name,
                f"{(~usable).sum()} boxes left out that have no area or lie outside the image, with "
                f"{(~both).sum()} relations",
            )
            if not captions and not both.any():
                return None
            place = np.cumsum(usable) - 1
            relations = np.column_stack([place[relations[both, :2]], relations[both, 2]])
            pixels, labels = pixels[usable], labels[usable]
        # The last pixel a box may reach is the image's last, as in Scene-Graph-Benchmark.
        pixels = pixels.clip(0, [size[0] - 1, size[1] - 1] * 2).astype(np.float32)
        names = tuple(self._graphs.categories[i] for i in labels)
        related = tuple((s, self._graphs.predicate_names[p], o) for s, o, p in relations.tolist())
        distinct = () if captions else tuple(dict.fromkeys(related))
        triplets = tuple((names[s], p, names[o]) for s, p, o in distinct)
        mentions = tuple(
            Mention(i, (0, 0), (box,), end) for i, (s, _, o) in enumerate(distinct) for end, box in enumerate((s, o))
        )
        return Example(name, str(path), captions, triplets, GroundTruth(pixels, names, related, mentions))

    def _coco(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """COCO's captioned images: those in neither VG's test split nor its validation images; or the latter."""
        numbers = [None if image.coco_id is None else str(image.coco_id) for image in self._listed]
        if not any(numbers):
            raise InputError(
                f"{self.data.place(self.data.image_list)}: no entry has a coco_id, so the photos of VG's test split "
                "cannot be kept out of COCO's training images; give image_data.json as it is published"
            )
        held = {numbers[row]: row for row in self._validation.tolist() if numbers[row]}
        banned = {number for number, test in zip(numbers, self._graphs.test.tolist(), strict=True) if test}
        in_vg, any_in_vg, names = set(numbers), False, set[str]()
        examples: list[Example] = []
        pairs = self.data.coco_pairs()
        with progress(f"reading {split} captions", len(pairs)) as advance:
            for captions, pictures in pairs:
                if not pictures.is_dir():
                    raise InputError(f"{pictures}: no such image folder; `groundgraph data check` says where to get it")
                for example in read_coco(captions, pictures, skipped):
                    _same_number(example, captions)
                    if example.image_id in names:
                        skipped.add(example.image_id, f"in {captions} and in a file before it; the first counts")
                        continue
                    names.add(example.image_id)
                    any_in_vg = any_in_vg or example.image_id in in_vg
                    if split == "train" and example.image_id not in banned and example.image_id not in held:
                        examples.append(example)
                    elif split == "validation" and example.image_id in held:
                        row = held[example.image_id]
                        own = self._example(row, example.captions, False, skipped)
                        if own is not None:
                            examples.append(own)
                advance(1)
        if not any_in_vg:
            raise InputError(
                f"{self.data.place(self.data.image_list)}: no coco_id is one of COCO's images here, so the photos of "
                "VG's test split cannot be kept out of training; give both as they are published"
            )
        return examples


def _same_number(example: Example, captions: Path) -> None:
    """Raise InputError where COCO's name of a picture is not its id's: it would be taken for another image of VG."""
    number = re.search(r"(\d{6,})$", Path(example.path).stem)
    if number and id_text(number[1]) != example.image_id:
        raise InputError(
            f"{captions}: image {example.image_id} is {Path(example.path).name}; ids must be COCO's own, by which VG's "
            "test photos are kept out of training"
        )


def _overlapping(boxes: np.ndarray, relations: np.ndarray) -> np.ndarray:
    """The relations [K, 3] whose two boxes overlap: the field counts a shared edge of 1024 pixels' grid too."""
    one, two = boxes[relations[:, 0]], boxes[relations[:, 1]]
    sides = np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
    return relations[(sides > -1 / 1024).all(1)]
