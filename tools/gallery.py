"""Draw docs/gallery: one drawn scene as each data set would annotate it, written in its form and read by its reader.

Run: python -m tools.gallery [--out docs/gallery]. Nothing of the data sets themselves is used: the scene is drawn with
MiniGenome's brushes, and what is said of it was written here, by the data sets' published vocabularies and habits.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from groundgraph.data.images import open_image
from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.data.minigenome.drawing import CANVAS, Canvas, Look
from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Data
from groundgraph.data.types import AnnotatedImage, Example, GroundTruth, Skipped
from groundgraph.data.vocabulary import COCO80, VG150_OBJECTS, VG150_PREDICATES
from groundgraph.formats.coco_relations import write_coco_relations
from groundgraph.formats.hico_det import COCO_IDS
from groundgraph.formats.vg150 import read_graphs, write_vg150
from groundgraph.report.pictures import save_record

SIDE = 360  # pixels of a picture as the page shows it
Boxes = dict[str, list[float]]  # thing of the scene -> [x1, y1, x2, y2] in pixels
Relations = list[tuple[str, str, str]]  # (subject, predicate, object), by the scene's things
FILE = "1.png"
_EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")


def scene() -> tuple[Image.Image, Boxes]:
    """A man with a hat who rides a horse, another horse, a tree, a dog; and the box of what is seen of each."""
    canvas, ground = Canvas((190, 220, 245)), 0.52 * CANVAS
    canvas.shape("r", [(0, ground), (CANVAS, CANVAS)], (150, 195, 110), None)
    tree = canvas.icon("tree", 42, 148, 80, "green")
    grazing = canvas.icon("horse", 168, 142, 78, "white")
    ridden = canvas.icon("horse", 96, 206, 98, "brown")
    look = Look("shirt", "red", "blue", (232, 190, 160), (70, 45, 30))
    man = canvas.person("man", 92, 146, 98, look, "ride")
    hat = canvas.icon("hat", *man.head, 98, "black")
    dog = canvas.icon("dog", 192, 212, 66, "gray")
    owner = np.asarray(canvas.owner)
    drawn = {"man": man, "hat": hat, "horse": ridden, "other horse": grazing, "tree": tree, "dog": dog}
    numbers = {name: [thing.index] for name, thing in drawn.items()} | {"shirt": [man.garments[0]]}
    numbers["man"] = [man.index, *man.garments]  # a person reaches as far as the clothes
    boxes = {}
    for name, own in numbers.items():
        rows, columns = np.nonzero(np.isin(owner, np.array(own) + 1))
        boxes[name] = [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
    boxes["sky"], boxes["grass"] = [0.0, 0.0, CANVAS, round(ground)], [0.0, round(ground), CANVAS, CANVAS]
    return canvas.image, boxes


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "gallery")
    out = parser.parse_args().out
    for name, (picture, truth) in annotated_pictures().items():
        draw(out / f"{name}.svg", picture, truth)


def annotated_pictures() -> dict[str, tuple[Image.Image, GroundTruth]]:
    """Data set -> a picture, and its boxes and relations as the data set's reader gives them."""
    image, boxes = scene()
    pictures = {}
    for name, write in DATA_SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            for images in ("images", "flickr30k-images"):
                (place / images).mkdir()
                image.save(place / images / FILE)
                image.save(place / images / "1.jpg")
            example = write(place, boxes)
            assert example.truth is not None
            own = open_image(example.path).copy() if name == "minigenome" else image
            pictures[name] = own, example.truth
    return pictures


def draw(path: Path, picture: Image.Image, truth: GroundTruth) -> None:
    """Draw boxes and relations on a picture, whose pixels are then kept in 64 colours, in a fifth of the room."""
    objects = [{"category": k, "box": box} for k, box in zip(truth.labels, truth.boxes.tolist(), strict=True)]
    relations = [{"subject": s, "predicate": p, "object": o} for s, p, o in truth.relations]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_record(path, picture, {"objects": objects, "relations": relations}, SIDE)
    path.write_text(_EMBEDDED.sub(_fewer_colours, path.read_text(encoding="utf-8")), encoding="utf-8")


def _fewer_colours(match: re.Match[str]) -> str:
    """An embedded PNG in 64 colours."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


# Each data set -------------------------------------------------------------------------------------------------------
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
    coco = {COCO80.names[place]: number for number, place in COCO_IDS.items()}
    annotations = [{"bbox": boxes[thing], "category_id": coco[_general(thing)]} for thing in shown]
    done = [
        {"subject_id": shown.index(s), "object_id": shown.index(o), "category_id": verbs.index(p) + 1}
        for s, p, o in relations
    ]
    entry = {"file_name": FILE, "annotations": annotations, "hoi_annotation": done}
    (folder / "trainval_hico.json").write_text(json.dumps([entry]))
    return _first("hico-det", folder)


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
    "flickr30k-entities": flickr30k_entities,
    "coco-relations": coco_relations,
    "minigenome": minigenome,
}


def _plain(thing: str) -> str:
    """What the scene's thing is called: "other horse" is a horse."""
    return thing.removeprefix("other ")


def _general(thing: str) -> str:
    """The same, where men are persons."""
    return {"man": "person"}.get(thing, _plain(thing))


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


if __name__ == "__main__":
    main()
