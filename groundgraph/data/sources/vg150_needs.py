"""Where the published files of Visual Genome and COCO come from."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.published import PublishedPart, coco_part
from groundgraph.data.sources.config import Vg150Data
from groundgraph.data.sources.needs import Need

VISUAL_GENOME = "visualgenome.org, API, downloads"
_SGB = "DATASET.md of KaihuaTang/Scene-Graph-Benchmark.pytorch on GitHub"
_COCO = "cocodataset.org, download"
# file -> what published.yaml calls the file it is in, and its path there
_FILES = {
    "VG-SGG-dicts-with-attri.json": ("vg-names", ""),
    "image_data.json": ("vg-image-data", "image_data.json"),
    "region_descriptions.json": ("vg-regions", "region_descriptions.json"),
}


def published_files(data: Vg150Data, pictures: Need) -> list[Need]:
    """The files of a setting, with the pages they come from; `pictures` is the need of the image folders."""
    names, listed = data.place(data.dictionary), data.place(data.image_list)
    where = f"{VISUAL_GENOME} (image meta data)"
    required = [
        Need("scene graphs", str(data.place(data.graphs)), _SGB, "about 0.15 GB"),
        Need("their names", str(names), _SGB, "30 kB", parts=_part("VG-SGG-dicts-with-attri.json", names)),
        Need("list of images", str(listed), where, "17 MB", parts=_part("image_data.json", listed)),
        pictures,
    ]
    if data.setting == "vg_caption":
        where, captions = f"{VISUAL_GENOME} (region descriptions)", data.place(data.captions)
        parts = _part("region_descriptions.json", captions)
        required.append(Need("VG captions", str(captions), where, "about 0.7 GB", parts=parts))
    if data.triplets:
        where = "triplet_extraction_process/README.md of rlqja1107/torch-LLM4SGG on GitHub"
        required.append(Need("triplets", str(data.place(data.triplets)), where))
    if data.setting == "coco_caption":
        for captions, folder in data.coco_pairs():
            sizes = ("92 MB", "18 GB") if "train" in folder.name else ("4 MB", "0.8 GB")
            where = f"{_COCO} (2017 train/val annotations)"
            required.append(Need("COCO captions", str(captions), where, sizes[0], parts=coco_part(captions)))
            where = f"{_COCO} ({folder.name})"
            required.append(Need("COCO images", str(folder), where, sizes[1], parts=coco_part(folder)))
    return required


def picture_parts(folders: list[Path]) -> tuple[PublishedPart, ...]:
    """Both halves of Visual Genome's pictures, where there is a folder for each."""
    halves = (("vg-images", "VG_100K"), ("vg-images2", "VG_100K_2"))
    if tuple(folder.name for folder in folders) != tuple(half for _, half in halves):
        return ()
    return tuple(
        PublishedPart(archive=name, member=half, place=place)
        for (name, half), place in zip(halves, folders, strict=True)
    )


def _part(file: str, place: Path) -> tuple[PublishedPart, ...]:
    """A file that has the name it is published under."""
    if place.name != file:
        return ()
    name, member = _FILES[file]
    return (PublishedPart(archive=name, member=member, place=place),)
