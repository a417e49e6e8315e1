"""A run on one's own boxes with relations, fully supervised, under the data's own names."""

import json

import numpy as np
import pytest

import groundgraph
from groundgraph.terminal import Console


def annotations(count, seed):
    """People above horses ride them, people beside them watch them."""
    rng, content = np.random.default_rng(seed), {"images": [], "annotations": [], "rel_annotations": []}
    content["categories"] = [{"id": k, "name": name} for k, name in enumerate(("horse", "person"))]
    content["rel_categories"] = [{"id": k, "name": name} for k, name in enumerate(("watching", "riding"))]
    for i in range(count):
        content["images"].append({"id": i, "file_name": f"{i}.jpg", "width": 300, "height": 200})
        x, rides = int(rng.integers(0, 60)), int(rng.integers(2))
        boxes = [[x, 100, 90, 80], [x + 20 if rides else x + 130, 40 if rides else 90, 40, 80]]
        for k, box in enumerate(boxes):
            content["annotations"].append({"id": 2 * i + k, "image_id": i, "category_id": k, "bbox": box, "iscrowd": 0})
        content["rel_annotations"].append(
            {"id": i, "image_id": i, "subject_id": 2 * i + 1, "object_id": 2 * i, "predicate_id": rides}
        )
    return content


def test_own_graphs_are_learned_from(tmp_path):
    for name, count in (("train", 48), ("test", 12)):
        (tmp_path / f"{name}.json").write_text(json.dumps(annotations(count, count)))
    settings = {
        "data.folder": str(tmp_path),
        "data.images": None,
        "data.held_out": None,
        "data.test_annotations": "test.json",
        "detector": {"kind": "annotated"},
        "text.model": "bundled:text",
        "sgg.start": "none",
        "sgg.tasks": ["predcls"],
        "sgg.training.epochs": 12,
    }
    run = groundgraph.run("own-graphs", settings, tmp_path / "run", device="cpu", console=Console(quiet=True))
    names = json.loads((run.folder / "vocabulary/vocabulary.json").read_text())
    assert names == {"categories": ["horse", "person"], "predicates": ["watching", "riding"]}
    assert run.metrics["methods"]["full"]["predcls"]["R@50"] == pytest.approx(1.0)
