"""Grounding alone: a run on referring expressions is measured by the boxes that they refer to."""

import json
import pickle

from captioned import captioned_photos

import groundgraph
from groundgraph.data.images import image_size
from groundgraph.terminal import Console


def test_expressions_are_grounded(tmp_path):
    examples = captioned_photos(tmp_path / "train2014", 12)
    refs, images, notes, names = [], [], [], sorted({name for e in examples for name in e.truth.labels})
    for number, example in enumerate(examples):
        file = f"{example.image_id}.png"
        width, height = image_size(tmp_path / "train2014" / file)
        images.append({"id": number, "file_name": file, "width": width, "height": height})
        for row, (box, label) in enumerate(zip(example.truth.boxes.tolist(), example.truth.labels, strict=True)):
            own = {"id": 100 * number + row, "image_id": number, "category_id": names.index(label), "iscrowd": 0}
            notes.append(own | {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]})
            related = [
                f"{predicate} the {example.truth.labels[o]}" for s, predicate, o in example.truth.relations if s == row
            ]
            text = " ".join(["the", label, *related[:1]])
            sentences = [{"sent": text, "raw": text.upper(), "sent_id": own["id"], "tokens": text.split()}]
            part = "train" if number < 8 else "val" if number < 10 else "testA"
            ref = {"ref_id": own["id"], "ann_id": own["id"], "image_id": number, "split": part}
            refs.append(ref | {"sentences": sentences})
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    content = {"images": images, "annotations": notes, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(refs, 2))
    settings = {
        "data.folder": str(tmp_path),
        "detector": {"kind": "torchvision", "model": "bundled:detector"},
        "text.model": "bundled:text",
        "teachers": {"interaction": None, "expert": None},
        "grounding.fusing": "average",
        "grounder": "sgnls",
        "sgg.training.epochs": 1,
    }
    run = groundgraph.run("refcoco", settings, tmp_path / "run", device="cpu", console=Console(quiet=True))
    metrics, tested = run.metrics, sum(ref["split"] == "testA" for ref in refs)
    assert metrics["counts"]["examples: test images"] == 2
    assert metrics["counts"]["all entities measured"] == tested  # one an expression, though some have two nouns
    assert metrics["methods"]["sgnls"]["grounding"]["all"] > metrics["chance"]["all"]
