"""The gallery's scene in each data set's published form, written and read again by its reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.data.minigenome.drawing import CANVAS
from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Data
from groundgraph.data.types import AnnotatedImage, Example, GroundTruth, Skipped
from groundgraph.data.vocabulary import COCO80, VG150_OBJECTS, VG150_PREDICATES
from groundgraph.formats.coco_relations import write_coco_relations
from groundgraph.formats.hico_det import COCO_IDS
from groundgraph.formats.vg150 import read_graphs, write_vg150

Boxes = dict[str, list[float]]  # thing of the scene -> [x1, y1, x2, y2] in pixels
Relations = list[tuple[str, str, str]]  # (subject, predicate, object), by the scene's things
FILE = "1.png"


def vg150(folder: Path, boxes: Boxes) -> Example:
    """Visual Genome's 150 categories and 50 predicates; "wearing", "on", "near" and parts of things lead."""
    relations = [("man", "riding", "horse"), ("man", "wearing", "hat"), ("man", "wearing", "shirt")]
    relations += [("other horse", "behind", "horse"), ("dog", "near", "horse")]
    names = VG150_OBJECTS.names, VG150_PREDICATES.names
    write_vg150(folder / "vg", [_annotated(folder, boxes, relations, *names)], names)
    graphs = read_graphs(folder / "vg" / "VG-SGG-with-attri.h5", folder / "vg" / "VG-SGG-dicts-with-attri.json")
    labels = tuple(graphs.categories[k] for k in graphs.labels.tolist())
    named = [graphs.predicate_names[k] for k in graphs.predicates.tolist()]
    related = tuple((s, p, o) for (s, o), p in zip(graphs.relations.tolist(), named, strict=True))
    return Example("1", FILE, truth=GroundTruth(graphs.boxes * CANVAS, labels, related))


def vrd(folder: Path, boxes: Boxes) -> Example:
    """VRD: people are "person", and places of things to one another are told finely."""
    relations = [("man", "ride", "horse"), ("man", "wear", "hat"), ("man", "wear", "shirt")]
    relations += [("other horse", "behind", "horse"), ("tree", "on the left of", "other horse")]
    relations += [("dog", "near", "horse")]
    things, predicates = _occurring(relations), list(dict.fromkeys(p for _, p, _ in relations))
    categories = sorted({_general(thing) for thing in things})

    def end(thing: str) -> dict[str, Any]:
        x1, y1, x2, y2 = map(int, boxes[thing])
        return {"category": categories.index(_general(thing)), "bbox": [y1, y2, x1, x2]}

    rows = [{"subject": end(s), "predicate": predicates.index(p), "object": end(o)} for s, p, o in relations]
    names = {"objects.json": categories, "predicates.json": predicates}
    for name, content in {"annotations_train.json": {FILE: rows}, **names}.items():
        (folder / name).write_text(json.dumps(content))
    return _first("vrd", folder, images="images", validation=0)


def psg(folder: Path, boxes: Boxes) -> Example:
    """PSG: everything has a mask, grass and sky too; few relations an image, chosen for what they say."""
    relations = [("man", "riding", "horse"), ("other horse", "standing on", "grass"), ("dog", "beside", "horse")]
    things, stuff = ["person", "horse", "dog"], ["tree-merged", "grass-merged", "sky-other-merged"]
    classes = {"tree": "tree-merged", "grass": "grass-merged", "sky": "sky-other-merged"}
    shown = ["man", "horse", "other horse", "dog", "tree", "grass", "sky"]
    predicates = ["beside", "riding", "standing on"]
    numbers = [(things + stuff).index(classes.get(thing, _general(thing))) for thing in shown]
    annotations = [{"bbox": boxes[t], "category_id": k} for t, k in zip(shown, numbers, strict=True)]
    related = [[shown.index(s), shown.index(o), predicates.index(p)] for s, p, o in relations]
    entry = {"image_id": "1", "file_name": FILE, "width": CANVAS, "height": CANVAS}
    entry |= {"annotations": annotations, "relations": related}
    listing = {"data": [entry], "thing_classes": things, "stuff_classes": stuff, "predicate_classes": predicates}
    (folder / "psg.json").write_text(json.dumps(listing | {"test_image_ids": []}))
    return _first("psg", folder, images="images")


def gqa(folder: Path, boxes: Boxes) -> Example:
    """GQA's scene graphs: many relations, most of them "to the left of" and "to the right of"."""
    relations = [("man", "riding", "horse"), ("man", "wearing", "hat"), ("dog", "to the right of", "horse")]
    relations += [("tree", "to the left of", "other horse"), ("other horse", "to the right of", "tree")]
    keys = {thing: str(80 + k) for k, thing in enumerate(_occurring(relations))}
    objects = {}
    for thing, key in keys.items():
        x1, y1, x2, y2 = boxes[thing]
        own = [{"object": keys[o], "name": p} for s, p, o in relations if s == thing]
        objects[key] = {"name": _plain(thing), "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "relations": own}
    graph = {"width": CANVAS, "height": CANVAS, "objects": objects}
    (folder / "train_sceneGraphs.json").write_text(json.dumps({"1": graph}))
    return _first("gqa", folder, train_annotations="train_sceneGraphs.json", test_annotations=None)


def open_images(folder: Path, boxes: Boxes) -> Example:
    """Open Images: a line has two boxes and a relation; of an image only what the list of relations has."""
    relations = [("man", "ride", "horse"), ("man", "on", "horse"), ("man", "wears", "hat")]
    names = {thing: f"/m/{k}" for k, thing in enumerate(dict.fromkeys(map(_plain, _occurring(relations))))}
    sides = [f"{side}{end}" for end in (1, 2) for side in ("XMin", "XMax", "YMin", "YMax")]
    lines = [",".join(["ImageID", "LabelName1", "LabelName2", *sides, "RelationshipLabel"])]
    for subject, predicate, object_ in relations:
        places = [f"{boxes[t][k] / CANVAS:.5f}" for t in (subject, object_) for k in (0, 2, 1, 3)]
        lines.append(",".join(["1", names[_plain(subject)], names[_plain(object_)], *places, predicate]))
    (folder / "oidv6-train-annotations-vrd.csv").write_text("\n".join(lines))
    descriptions = ["LabelName,DisplayName", *(f"{key},{name.capitalize()}" for name, key in names.items())]
    (folder / "oidv6-class-descriptions.csv").write_text("\n".join(descriptions))
    return _first("open-images", folder)


def hico_det(folder: Path, boxes: Boxes) -> Example:
    """HICO-DET: only what people do with things; several verbs for one pair."""
    relations = [("man", "ride", "horse"), ("man", "straddle", "horse"), ("man", "hold", "horse")]
    verbs, shown = ["no_interaction", "hold", "ride", "straddle"], ["man", "horse", "other horse"]
    listing = [f" {k:3d}  {verb}" for k, verb in enumerate(verbs, 1)]
    (folder / "hico_list_vb.txt").write_text("\n".join([" verb_id  verb_name", *listing]))
    annotations = [{"bbox": boxes[thing], "category_id": _coco_id(thing)} for thing in shown]
    done = [
        {"subject_id": shown.index(s), "object_id": shown.index(o), "category_id": verbs.index(p) + 1}
        for s, p, o in relations
    ]
    entry = {"file_name": FILE, "annotations": annotations, "hoi_annotation": done}
    (folder / "trainval_hico.json").write_text(json.dumps([entry]))
    return _first("hico-det", folder)


def vcoco(folder: Path, boxes: Boxes) -> Example:
    """V-COCO: what each person does, with an object and an instrument, over COCO's boxes; 26 verbs."""
    keys = _instances(folder / "all.json", boxes)
    verbs = [
        {"action_name": name, "role_name": ["agent", role], "image_id": [1], "ann_id": [keys["man"]], "label": [1]}
        | {"role_object_id": [keys["man"], keys["horse"]]}
        for name, role in (("ride", "instr"), ("sit", "instr"))
    ]
    (folder / "vcoco_train.json").write_text(json.dumps(verbs))
    return _first("vcoco", folder, images="images", instances="all.json")


def refcoco(folder: Path, boxes: Boxes) -> Example:
    """RefCOCO: expressions, each of one box among alike ones, and no relation."""
    keys = _instances(folder / "instances.json", boxes)
    expressions = {"horse": "brown horse", "other horse": "horse at the back", "man": "man with the hat"}
    references = [
        {"image_id": 1, "ann_id": keys[thing], "split": "train", "sentences": [{"sent": text}]}
        for thing, text in expressions.items()
    ]
    (folder / "refs.json").write_text(json.dumps(references))
    return _first("refcoco", folder, images="images", train_annotations="refs.json")


def flickr30k_entities(folder: Path, boxes: Boxes) -> Example:
    """Flickr30k Entities: phrases of captions with boxes, and no relation."""
    caption = "[/EN#1/people A man] in [/EN#2/clothing a black hat] rides [/EN#3/animals a brown horse] past "
    caption += "[/EN#4/animals a white one] .\n"
    things = {"1": "man", "2": "hat", "3": "horse", "4": "other horse"}
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir()
    (folder / "train.txt").write_text("1\n")
    (folder / "Sentences" / "1.txt").write_text(caption)
    places = "".join(
        f"<object><name>{key}</name><bndbox>"
        + "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), boxes[thing], strict=True))
        + "</bndbox></object>"
        for key, thing in things.items()
    )
    size = f"<size><width>{CANVAS}</width><height>{CANVAS}</height></size>"
    (folder / "Annotations" / "1.xml").write_text(f"<annotation>{size}{places}</annotation>")
    return _first("flickr30k-entities", folder)


OWN = [("man", "riding", "horse"), ("dog", "watching", "horse")]  # names of one's own choice


def coco_relations(folder: Path, boxes: Boxes) -> Example:
    """Your own graphs in SGG-Benchmark's form (Label Studio's hold the same): the names are whatever you list."""
    names = tuple(dict.fromkeys(map(_plain, _occurring(OWN)))), tuple(p for _, p, _ in OWN)
    write_coco_relations(folder / "train.json", [_annotated(folder, boxes, OWN, *names)], names)
    return _first("coco-relations", folder)


def minigenome(folder: Path, boxes: Boxes) -> Example:
    """MiniGenome, a scene of its own: all that holds is known; captions tell half of it."""
    return MiniGenome("test", "vg_caption", folder, 11)[10]


DATA_SETS: dict[str, Callable[[Path, Boxes], Example]] = {
    "vg150": vg150,
    "vrd": vrd,
    "psg": psg,
    "gqa": gqa,
    "open-images": open_images,
    "hico-det": hico_det,
    "vcoco": vcoco,
    "flickr30k-entities": flickr30k_entities,
    "refcoco": refcoco,
    "coco-relations": coco_relations,
    "minigenome": minigenome,
}


def _plain(thing: str) -> str:
    """What the scene's thing is called: "other horse" is a horse."""
    return thing.removeprefix("other ")


def _general(thing: str) -> str:
    """The same, where men are persons."""
    return {"man": "person"}.get(thing, _plain(thing))


def _coco_id(thing: str) -> int:
    """The number of its category at COCO."""
    return next(number for number, place in COCO_IDS.items() if COCO80.names[place] == _general(thing))


def _instances(path: Path, boxes: Boxes) -> dict[str, int]:
    """Write COCO's instances of what COCO has a category for; gives each thing's id."""
    keys = {thing: 200 + k for k, thing in enumerate(("man", "horse", "other horse", "dog"))}
    annotations = []
    for thing, key in keys.items():
        x1, y1, x2, y2 = boxes[thing]
        box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        annotations.append(box | {"id": key, "image_id": 1, "category_id": _coco_id(thing)})
    categories = [{"id": number, "name": COCO80.names[place]} for number, place in COCO_IDS.items()]
    image = {"id": 1, "file_name": FILE, "width": CANVAS, "height": CANVAS}
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))
    return keys


def _occurring(relations: Relations) -> list[str]:
    return list(dict.fromkeys(thing for s, _, o in relations for thing in (s, o)))


def _annotated(
    folder: Path, boxes: Boxes, relations: Relations, categories: tuple[str, ...], predicates: tuple[str, ...]
) -> AnnotatedImage:
    """The scene for a writer of annotations."""
    things = _occurring(relations)
    rows = [(things.index(s), things.index(o), predicates.index(p) + 1) for s, p, o in relations]
    labels = np.array([categories.index(_plain(thing)) + 1 for thing in things])
    places = np.array([boxes[thing] for thing in things], np.float32)
    ones = np.ones(len(things), np.float32)
    path = str(folder / "images" / FILE)
    return AnnotatedImage("1", path, (CANVAS, CANVAS), places, labels, ones, np.array(rows))


def _first(source: str, folder: Path, **keys: Any) -> Example:
    """The one image that a source's reader finds in a folder."""

    @contextmanager
    def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda count: None

    data = TypeAdapter(Data).validate_python({"source": source, "folder": str(folder)} | keys)
    (example,) = open_source(data, folder).examples("train", Skipped(), bar)
    return example
