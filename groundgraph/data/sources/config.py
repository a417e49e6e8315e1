"""The `data` part of a recipe: one model a source, each saying what splits it has and which files it reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from groundgraph.data.sources.caption_config import CaptionsData
from groundgraph.data.sources.data_part import DataPart, Names, Setting
from groundgraph.data.sources.graph_config import (
    CocoRelationsData,
    Flickr30kData,
    GqaData,
    HicoDetData,
    LabelStudioData,
    OpenImagesData,
    PsgData,
    RefCocoData,
    VcocoData,
)
from groundgraph.errors import InputError


class MiniGenomeData(DataPart):
    """The bundled procedural data; the numbers are images of its 4,000 / 500 / 1,000."""

    source: Literal["minigenome"]
    setting: Setting = "vg_caption"
    train: int = Field(4000, ge=2, le=4000)
    validation: int = Field(500, ge=1, le=500)
    test: int = Field(1000, ge=1, le=1000)


class PhotoData(DataPart):
    """A folder of images with captions: COCO captions JSON, or JSONL of {"image": ..., "captions": [...]}.

    instances (COCO JSON, boxes with categories) is optional and only ever measured against.
    """

    splits: ClassVar[tuple[str, ...]] = ("train",)

    source: Literal["coco", "jsonl"]
    images: str
    captions: str
    instances: str | None = None

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"the photos in {Path(self.images).expanduser().resolve()}"

    def annotations(self) -> list[Path]:
        """The files that say what is in the pictures."""
        return [Path(name) for name in (self.captions, self.instances) if name]


class CocoFiles(DataPart):
    """COCO with captions, for the setting coco_caption: image folders with the captions file of each, in `folder`."""

    folder: str = Field(default_factory=lambda: os.path.abspath("data/coco"))
    images: Names = ("train2017", "val2017")
    captions: Names = ("annotations/captions_train2017.json", "annotations/captions_val2017.json")


class Vg150Data(DataPart):
    """Visual Genome with 150 categories and 50 predicates; file names are relative to `folder`.

    graphs, dictionary  VG-SGG-with-attri.h5 and its JSON, or the same files without "-with-attri"
    image_list          image_data.json; images: where the pictures are (one folder or both halves)
    captions            region_descriptions.json, for vg_caption; coco: the files for coco_caption
    triplets            LLM4SGG's aligned_triplet_info_vg.json, whose triplets of COCO's images are trained on in place
                        of their captions, for coco_caption; null: the captions
    validation          how many of the training images that have relations are held out, the first ones (the field's
                        5,000)
    train, test         the first so many images only, null: all
    overlapping         as the field does: a training relation whose two boxes do not overlap is dropped (with boxes
                        that weak supervision should not know), and with it an image that has no other; for
                        unlocalized_graph only
    """

    source: Literal["vg150"]
    setting: Setting = "vg_caption"
    folder: str = Field(default_factory=lambda: os.path.abspath("data/vg"))
    graphs: str = "VG-SGG-with-attri.h5"
    dictionary: str = "VG-SGG-dicts-with-attri.json"
    image_list: str = "image_data.json"
    images: Names = ("VG_100K", "VG_100K_2")
    captions: str = "region_descriptions.json"
    triplets: str | None = None
    coco: CocoFiles = Field(default_factory=CocoFiles)
    validation: int = Field(5000, ge=1)
    train: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)
    overlapping: bool = True

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"Visual Genome in {Path(self.folder).expanduser().resolve()}"

    @model_validator(mode="after")
    def _in_place_of_captions(self) -> Vg150Data:
        if self.triplets and self.setting != "coco_caption":
            raise InputError("data.triplets stand in place of COCO's captions: set data.setting to coco_caption")
        return self

    @property
    def named(self) -> bool:  # type: ignore[override]
        """Whether a file of triplets is given, whose words are VG150's names."""
        return self.triplets is not None

    def place(self, name: str) -> Path:
        """Where a file lies: as it is called, or without "-with-attri" where only that is there."""
        path = Path(self.folder).expanduser() / name
        plain = path.with_name(path.name.replace("-with-attri", ""))
        return plain if plain.exists() and not path.exists() else path

    def coco_pairs(self) -> list[tuple[Path, Path]]:
        """(captions file, image folder) of each part of COCO. Raises InputError where they do not pair up."""
        if len(self.coco.images) != len(self.coco.captions):
            raise InputError(
                f"data.coco names {len(self.coco.captions)} captions files for {len(self.coco.images)} image folders: "
                "name one a folder, in the same order"
            )
        folder = Path(self.coco.folder).expanduser()
        return [(folder / c, folder / i) for c, i in zip(self.coco.captions, self.coco.images, strict=True)]

    def annotations(self) -> list[Path]:
        """The h5 file, its dictionary, the image list, and the captions of the setting."""
        files = [self.place(name) for name in (self.graphs, self.dictionary, self.image_list)]
        if self.triplets:
            files.append(self.place(self.triplets))
        if self.setting == "vg_caption":
            files.append(self.place(self.captions))
        if self.setting == "coco_caption":
            files += [captions for captions, _ in self.coco_pairs()]
        return files


class VrdData(DataPart):
    """VRD: 100 categories, 70 predicates; file names are relative to `folder`.

    train_annotations, test_annotations  JSON, as published; objects.json and predicates.json beside them are read where
                                         they are there, else the names that come with groundgraph
    images      the folder of the photos; null: without photos
    sizes       JSON of image: [width, height]; null: a photo's own, and without photos as far as its boxes reach
    held_out    so many training images are measured instead of those of the test file; null: the test file's
    validation  so many training images are held out as validation images; 0: there are none
    seed        of the draw of both
    train, test the first so many images only, null: all
    """

    named: ClassVar[bool] = True

    source: Literal["vrd"]
    setting: Literal["unlocalized_graph"] = "unlocalized_graph"
    folder: str = Field(default_factory=lambda: os.path.abspath("data/vrd"))
    train_annotations: str = "annotations_train.json"
    test_annotations: str = "annotations_test.json"
    images: str | None = None
    sizes: str | None = None
    held_out: int | None = Field(None, ge=1)
    validation: int = Field(200, ge=0)
    seed: int = Field(0, ge=0)
    train: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Without validation images there are two."""
        return ("train", "validation", "test") if self.validation else ("train", "test")

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"VRD in {Path(self.folder).expanduser().resolve()}"

    @property
    def pictureless(self) -> bool:
        """Whether no folder of photos is named."""
        return self.images is None

    def place(self, name: str) -> Path:
        """Where a file lies."""
        return Path(self.folder).expanduser() / name

    def annotations(self) -> list[Path]:
        """The annotations, the names where they are there, and the sizes."""
        names = [place for place in map(self.place, ("objects.json", "predicates.json")) if place.exists()]
        files = [self.train_annotations, *([] if self.held_out else [self.test_annotations])]
        return [*map(self.place, files + ([self.sizes] if self.sizes else [])), *names]


# source -> what the `data` part of its recipes may say.
DATA_PARTS: dict[str, type[DataPart]] = {
    "minigenome": MiniGenomeData,
    "coco": PhotoData,
    "jsonl": PhotoData,
    "table": CaptionsData,
    "webdataset": CaptionsData,
    "karpathy": CaptionsData,
    "vg150": Vg150Data,
    "vrd": VrdData,
    "coco-relations": CocoRelationsData,
    "label-studio": LabelStudioData,
    "psg": PsgData,
    "gqa": GqaData,
    "hico-det": HicoDetData,
    "open-images": OpenImagesData,
    "flickr30k-entities": Flickr30kData,
    "vcoco": VcocoData,
    "refcoco": RefCocoData,
}
Data = Annotated[
    MiniGenomeData
    | PhotoData
    | CaptionsData
    | Vg150Data
    | VrdData
    | CocoRelationsData
    | LabelStudioData
    | PsgData
    | GqaData
    | HicoDetData
    | OpenImagesData
    | Flickr30kData
    | VcocoData
    | RefCocoData,
    Field(discriminator="source"),
]
