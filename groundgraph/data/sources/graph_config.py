"""The `data` part of a recipe for data sets of boxes with relations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from groundgraph.data.sources.data_part import DataPart, Names


class GraphData(DataPart):
    """Boxes with relations; file names are relative to `folder`.

    images      the folder of the pictures; null: without pictures
    train_annotations, validation_annotations, test_annotations  a file a split; null: there is none
    held_out    so many training images are measured instead of those of the test file; null: the test file's
    validation  so many training images are held out as validation images, where they have no file; 0: there are none
    seed        of the draw of both
    train, test the first so many images only, null: all
    """

    named: ClassVar[bool] = True
    title: ClassVar[str] = ""  # of the data set, in words
    origins: ClassVar[tuple[str, str]]  # where to get the annotations, and the pictures, for a person
    published: ClassVar[dict[str, str]] = {}  # annotations' file -> what published.yaml calls it
    coco: ClassVar[tuple[str, ...]] = ()  # which folders of COCO's pictures are in `images`; ".": it is one itself

    folder: str
    images: str | None = "images"
    train_annotations: str
    validation_annotations: str | None = None
    test_annotations: str | None = None
    held_out: int | None = Field(None, ge=1)
    validation: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    train: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those that have a file or are drawn; training images alone are measured themselves."""
        middle = ("validation",) if self.validation or self.validation_annotations else ()
        last = ("test",) if self.held_out or self.test_annotations else ()
        return ("train", *middle, *last)

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"{self.title} in {Path(self.folder).expanduser().resolve()}"

    @property
    def pictureless(self) -> bool:
        """Whether no folder of pictures is named."""
        return self.images is None

    def place(self, name: str) -> Path:
        """Where a file lies."""
        return Path(self.folder).expanduser() / name

    def file_of(self, split: str) -> Path | None:
        """The annotations that a split has to itself; None: it is drawn from the training file's images."""
        name = {
            "train": self.train_annotations,
            "validation": None if self.validation else self.validation_annotations,
            "test": None if self.held_out else self.test_annotations,
        }[split]
        return None if name is None else self.place(name)

    def annotations(self) -> list[Path]:
        """The files of the splits."""
        files = [self.file_of(split) for split in self.splits]
        return [path for path in dict.fromkeys(files) if path is not None]


class CocoRelationsData(GraphData):
    """COCO annotations with relations (`rel_categories`, `rel_annotations`), SGG-Benchmark's format."""

    title: ClassVar[str] = "COCO with relations"
    origins: ClassVar[tuple[str, str]] = ("your own, or SGG-Benchmark's docs/ANNOTATIONS.md on GitHub", "your own")

    source: Literal["coco-relations"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/graphs"))
    train_annotations: str = "train.json"


class LabelStudioData(GraphData):
    """Boxes and relations of Label Studio: its export as JSON."""

    title: ClassVar[str] = "Label Studio's tasks"
    origins: ClassVar[tuple[str, str]] = ("Label Studio, Export, JSON", "your own")

    source: Literal["label-studio"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/graphs"))
    train_annotations: str = "train.json"


class PsgData(GraphData):
    """PSG: psg.json, which has both splits; the images are COCO's, train2017 and val2017 in `images`."""

    title: ClassVar[str] = "PSG"
    origins: ClassVar[tuple[str, str]] = (
        "README of Jingkang50/OpenPSG on GitHub",
        "cocodataset.org, download (train2017, val2017)",
    )

    coco: ClassVar[tuple[str, ...]] = ("train2017", "val2017")

    source: Literal["psg"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/psg"))
    images: str | None = "coco"
    train_annotations: str = "psg.json"
    test_annotations: str | None = "psg.json"


class GqaData(GraphData):
    """GQA-200 as SHA-GCL splits it, or GQA's own scene graphs (train_sceneGraphs.json).

    names  of GQA-200's numbers
    """

    title: ClassVar[str] = "GQA"
    origins: ClassVar[tuple[str, str]] = (
        "DATASET.md of dongxingning/SHA-GCL-for-SGG on GitHub",
        "cs.stanford.edu/people/dorarad/gqa, 20 GB",
    )

    source: Literal["gqa"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/gqa"))
    train_annotations: str = "GQA_200_Train.json"
    test_annotations: str | None = "GQA_200_Test.json"
    names: str = "GQA_200_ID_Info.json"

    def annotations(self) -> list[Path]:
        """The files of the splits, and the names where they are there."""
        return [*super().annotations(), *([self.place(self.names)] if self.place(self.names).exists() else [])]


class OpenImagesData(GraphData):
    """Open Images V6's visual relationships; pictures as NUMBER.jpg in `images`.

    names  class descriptions, of the labels
    """

    title: ClassVar[str] = "Open Images"
    origins: ClassVar[tuple[str, str]] = ("storage.googleapis.com/openimages/web/download_v6.html", "the same page")

    source: Literal["open-images"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/open-images"))
    train_annotations: str = "oidv6-train-annotations-vrd.csv"
    validation_annotations: str | None = "oidv6-validation-annotations-vrd.csv"
    test_annotations: str | None = "oidv6-test-annotations-vrd.csv"
    names: str = "oidv6-class-descriptions.csv"

    def annotations(self) -> list[Path]:
        """The files of the splits, and the names."""
        return [*super().annotations(), self.place(self.names)]


class Flickr30kData(GraphData):
    """Flickr30k Entities: captions whose phrases have boxes, by which grounding is measured; it has no relations."""

    named: ClassVar[bool] = False
    title: ClassVar[str] = "Flickr30k Entities"
    origins: ClassVar[tuple[str, str]] = (
        "BryanPlummer/flickr30k_entities on GitHub",
        "shannon.cs.illinois.edu/DenotationGraph",
    )

    source: Literal["flickr30k-entities"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/flickr30k"))
    images: str | None = "flickr30k-images"
    train_annotations: str = "train.txt"
    validation_annotations: str | None = "val.txt"
    test_annotations: str | None = "test.txt"


class RefCocoData(GraphData):
    """RefCOCO, RefCOCO+ or RefCOCOg: expressions, the first noun of each with its box, by which grounding is measured.

    train_annotations  refs(unc).p, which has all splits (RefCOCOg: refs(umd).p); or the hub's parquet files in a folder
    instances   the boxes; null: train_annotations has them (the hub's)
    test_split  which one is measured: test (testA with testB), testA, testB or val
    """

    named: ClassVar[bool] = False
    title: ClassVar[str] = "RefCOCO"
    origins: ClassVar[tuple[str, str]] = (
        "README of lichengunc/refer on GitHub, or jxu124/refcoco on the Hugging Face hub",
        "cocodataset.org, download (train2014)",
    )

    coco: ClassVar[tuple[str, ...]] = (".",)

    source: Literal["refcoco"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/refcoco"))
    images: str | None = "train2014"
    train_annotations: str = "refs(unc).p"
    instances: str | None = "instances.json"
    test_split: Literal["test", "testA", "testB", "val"] = "test"

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """The file has all three."""
        return ("train", "validation", "test")

    def file_of(self, split: str) -> Path | None:
        """The one file, where images are not drawn from the training split's."""
        drawn = {"train": False, "validation": bool(self.validation), "test": self.held_out is not None}
        return None if drawn[split] else self.place(self.train_annotations)

    def part_of(self, split: str) -> str:
        """What a split is called in the file."""
        return {"train": "train", "validation": "val", "test": self.test_split}[split]

    def annotations(self) -> list[Path]:
        """The references, and the boxes."""
        return [*super().annotations(), *([self.place(self.instances)] if self.instances else [])]


class VcocoData(GraphData):
    """V-COCO: agent - verb - object; the pictures are COCO's, train2014 and val2014 in `images`.

    instances  COCO's boxes: one file of all images, as V-COCO's script writes it, or COCO's own
    """

    title: ClassVar[str] = "V-COCO"
    origins: ClassVar[tuple[str, str]] = (
        "s-gupta/v-coco on GitHub (data/vcoco); the boxes: its script_pick_annotations.py, or COCO's instances",
        "cocodataset.org, download (train2014, val2014)",
    )

    published: ClassVar[dict[str, str]] = {f"vcoco_{part}.json": f"vcoco-{part}" for part in ("train", "val", "test")}
    coco: ClassVar[tuple[str, ...]] = ("train2014", "val2014")

    source: Literal["vcoco"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/vcoco"))
    images: str | None = "coco"
    train_annotations: str = "vcoco_train.json"
    validation_annotations: str | None = "vcoco_val.json"
    test_annotations: str | None = "vcoco_test.json"
    instances: Names = ("annotations/instances_train2014.json", "annotations/instances_val2014.json")

    def annotations(self) -> list[Path]:
        """The files of the splits, and the boxes."""
        return [*super().annotations(), *map(self.place, self.instances)]


class HicoDetData(GraphData):
    """HICO-DET: person - verb - object; pictures in `images`, in train2015 and test2015 or all together.

    Its authors' anno_bbox.mat has both splits: name it in train_annotations and test_annotations.

    names  hico_list_vb.txt, of the verbs' numbers in trainval_hico.json
    """

    title: ClassVar[str] = "HICO-DET"
    origins: ClassVar[tuple[str, str]] = (
        "README of YueLiao/PPDM on GitHub; the verbs: HICO's own page",
        "websites.umich.edu/~ywchao/hico",
    )

    source: Literal["hico-det"]
    folder: str = Field(default_factory=lambda: os.path.abspath("data/hico"))
    train_annotations: str = "trainval_hico.json"
    test_annotations: str | None = "test_hico.json"
    names: str = "hico_list_vb.txt"

    def annotations(self) -> list[Path]:
        """The files of the splits, and the verbs where these do not name them."""
        numbered = self.train_annotations.endswith("_hico.json") or self.place(self.names).exists()
        return [*super().annotations(), *([self.place(self.names)] if numbered else [])]
