"""Where the published files of Visual Genome and COCO come from."""

from __future__ import annotations

from groundgraph.data.sources.config import Vg150Data
from groundgraph.data.sources.needs import Need

VISUAL_GENOME = "visualgenome.org, API, downloads"
_SGB = "DATASET.md of KaihuaTang/Scene-Graph-Benchmark.pytorch on GitHub"
_COCO = "cocodataset.org, download"


def published_files(data: Vg150Data, pictures: Need) -> list[Need]:
    """The files of a setting, with the pages they come from; `pictures` is the need of the image folders."""
    required = [
        Need("scene graphs", str(data.place(data.graphs)), _SGB, "about 0.15 GB"),
        Need("their names", str(data.place(data.dictionary)), _SGB, "30 kB"),
        Need("list of images", str(data.place(data.image_list)), f"{VISUAL_GENOME} (image meta data)", "17 MB"),
        pictures,
    ]
    if data.setting == "vg_caption":
        where = f"{VISUAL_GENOME} (region descriptions)"
        required.append(Need("VG captions", str(data.place(data.captions)), where, "about 0.7 GB"))
    if data.triplets:
        where = "triplet_extraction_process/README.md of rlqja1107/torch-LLM4SGG on GitHub"
        required.append(Need("triplets", str(data.place(data.triplets)), where))
    if data.setting == "coco_caption":
        for captions, folder in data.coco_pairs():
            sizes = ("92 MB", "18 GB") if "train" in folder.name else ("4 MB", "0.8 GB")
            where = f"{_COCO} (2017 train/val annotations)"
            required.append(Need("COCO captions", str(captions), where, sizes[0]))
            required.append(Need("COCO images", str(folder), f"{_COCO} ({folder.name})", sizes[1]))
    return required
