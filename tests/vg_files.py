"""Visual Genome's published files in miniature, laid out as scene-graph-TF-release writes them."""

import json
import math

import h5py
import numpy as np
from PIL import Image

CATEGORIES = ("dog", "hat", "horse", "man", "shirt")  # as the published dictionary: sorted, numbered from 1
PREDICATES = ("near", "on", "riding", "wearing")


def box_in_file(box, size, side):
    """A box (xywh in pixels, 1-based as in Visual Genome's objects.json) as the h5 file holds it.

    Written after what the format says: the longer side becomes `side`; the corner is rounded down, the sides up, the
    centre is the corner and half the side rounded down; all integers.
    """
    scale = side / max(size)
    x, y = (max(math.floor(scale * (v - 1)), 0) for v in box[:2])
    w, h = (math.ceil(scale * v) for v in box[2:])
    w, h = min(w, side - x), min(h, side - y)
    return [x + w // 2, y + h // 2, w, h]


def write_vg(folder, images, *, attributes=True, splits=None):
    """Write the five files and the pictures of `images` into `folder`; gives the folder.

    images  dicts with id, size (width, height), split (0 train, 2 test), objects [(category, (x, y, w, h))], relations
            [(subject, predicate, object)], phrases [...], and optionally coco_id, and half (the second image folder)
    attributes  whether the names are the ones with "-with-attri"
    """
    suffix = "-with-attri" if attributes else ""
    for name in ("VG_100K", "VG_100K_2"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    listed, labels, boxes, relations, predicates, ranges = [], [], {1024: [], 512: []}, [], [], []
    for image in images:
        width, height = image["size"]
        url = f"https://cs.stanford.edu/people/rak248/VG_100K/{image['id']}.jpg"
        listed.append({"width": width, "url": url, "height": height, "image_id": image["id"]})
        listed[-1] |= {"coco_id": image.get("coco_id"), "flickr_id": None}
        if image["id"] in (1592, 1722, 4616, 4617):
            continue  # in image_data.json, but without a row in the h5 file
        half = "VG_100K_2" if image.get("half") else "VG_100K"
        Image.new("RGB", (width, height), (image["id"] * 40 % 255, 90, 120)).save(folder / half / f"{image['id']}.jpg")
        first_box, first_relation = len(labels), len(relations)
        for category, box in image.get("objects", ()):
            labels.append([1 + CATEGORIES.index(category)])
            for side, rows in boxes.items():
                rows.append(box_in_file(box, image["size"], side))
        for subject, predicate, object_ in image.get("relations", ()):
            relations.append([first_box + subject, first_box + object_])
            predicates.append([1 + PREDICATES.index(predicate)])
        row = [first_box, len(labels) - 1] if len(labels) > first_box else [-1, -1]
        row += [first_relation, len(relations) - 1] if len(relations) > first_relation else [-1, -1]
        ranges.append([image["split"], *row])
    table = np.array(ranges, np.int32)
    with h5py.File(folder / f"VG-SGG{suffix}.h5", "w") as file:
        names = ("split", "img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel")
        for column, name in zip(table.T, names, strict=True):
            file.create_dataset(name, data=column)
        for side, rows in boxes.items():
            file.create_dataset(f"boxes_{side}", data=np.array(rows, np.int32))
        file.create_dataset("labels", data=np.array(labels, np.int64))
        file.create_dataset("relationships", data=np.array(relations, np.int32))
        file.create_dataset("predicates", data=np.array(predicates, np.int64))
        file.create_dataset("active_object_mask", data=np.ones((len(labels), 1), bool))
        if attributes:
            file.create_dataset("attributes", data=np.zeros((len(labels), 10), np.int64))
    numbered = {c: i for i, c in enumerate(CATEGORIES, 1)}, {p: i for i, p in enumerate(PREDICATES, 1)}
    content = {"label_to_idx": numbered[0], "idx_to_label": {str(i): c for c, i in numbered[0].items()}}
    content |= {"predicate_to_idx": numbered[1], "idx_to_predicate": {str(i): p for p, i in numbered[1].items()}}
    content |= {"object_count": {}, "predicate_count": {}}
    (folder / f"VG-SGG-dicts{suffix}.json").write_text(json.dumps(content))
    (folder / "image_data.json").write_text(json.dumps(listed))
    regions = [
        {
            "id": image["id"],
            "regions": [
                {"region_id": 10 * image["id"] + i, "image_id": image["id"], "phrase": phrase}
                | {"x": 0, "y": 0, "width": 4, "height": 4}
                for i, phrase in enumerate(image.get("phrases", ()))
            ],
        }
        for image in images
    ]
    (folder / "region_descriptions.json").write_text(json.dumps(regions))
    return folder


def write_coco(folder, images):
    """COCO's 2017 files in miniature: train2017 and val2017. images: (part, id, captions)."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for part in ("train2017", "val2017"):
        (folder / part).mkdir(exist_ok=True)
        listing = {"images": [], "annotations": []}
        for _, name, captions in (image for image in images if image[0] == part):
            Image.new("RGB", (40, 30), (name % 255, 60, 60)).save(folder / part / f"{name:012d}.jpg")
            listing["images"].append({"id": name, "file_name": f"{name:012d}.jpg", "width": 40, "height": 30})
            listing["annotations"] += [{"image_id": name, "id": len(captions), "caption": c} for c in captions]
        (folder / "annotations" / f"captions_{part}.json").write_text(json.dumps(listing))
    return folder


def image(name, split=0, *, size=(200, 100), phrases=None, relations=None, apart=False, **more):
    """An image of a man, his hat and a horse; `apart`: the man is nowhere near the horse."""
    man = (11, 11, 30, 60)
    objects = [("man", man), ("hat", (15, 5, 12, 12)), ("horse", (151, 31, 40, 40) if apart else (21, 31, 90, 60))]
    found = {"id": name, "split": split, "size": size, "objects": objects}
    found["relations"] = [(0, "riding", 2), (0, "wearing", 1)] if relations is None else relations
    found["phrases"] = ["man riding horse", "a hat on a man"] if phrases is None else phrases
    return found | more
