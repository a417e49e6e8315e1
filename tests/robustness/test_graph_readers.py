"""Readers of boxes with relations, fed entries in which anything is anything: a value, or one error that says what."""

import copy
import json
import random
from contextlib import contextmanager

import pytest
from pydantic import TypeAdapter

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Data
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError

ODD = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "x",
    "1",
    "\ud800",
    "a\0b",
    [],
    {},
    [1],
    [None],
]
SIZE = {"width": 100, "height": 80}
BOXES = [{"bbox": [1, 1, 40, 40], "category_id": 0}, {"bbox": [5, 5, 50, 50], "category_id": 1}]
MARK = {"type": "rectanglelabels", "original_width": 100, "original_height": 80}
PLACE = {"x": 1, "y": 1, "width": 20, "height": 20, "rotation": 10}
RESULTS = [
    MARK | {"id": "x", "value": PLACE | {"rectanglelabels": ["cat"]}, "score": 0.5},
    MARK | {"id": "y", "value": PLACE | {"rectanglelabels": ["dog"]}},
    {"type": "relation", "from_id": "x", "to_id": "y", "direction": "bi", "labels": ["on"]},
]
COCO = [{"id": k, "image_id": 1, "category_id": k, "bbox": [k, 1, 20, 20], "iscrowd": 0} for k in (0, 1)]
FILES = {
    "psg": {
        "data": [{"file_name": "a.jpg", "image_id": "1", "annotations": BOXES, "relations": [[0, 1, 0]]} | SIZE],
        "thing_classes": ["a"],
        "stuff_classes": ["b"],
        "predicate_classes": ["on"],
        "test_image_ids": ["2"],
    },
    "gqa": {
        "1": SIZE
        | {
            "objects": {
                "8": {"name": "a", "x": 1, "y": 2, "w": 3, "h": 4, "relations": [{"object": "9", "name": "on"}]},
                "9": {"name": "b", "x": 1, "y": 2, "w": 3, "h": 4, "relations": []},
            }
        }
    },
    "label-studio": [
        {
            "id": 1,
            "data": {"image": "/data/local-files/?d=a.jpg", "image_id": "7"},
            "annotations": [{"result": RESULTS}],
        }
    ],
    "hico-det": {
        "annotation": [{"boxes_h": [[1, 1, 9, 9]], "boxes_o": [[2, 2, 8, 8]], "object": [0], "verb": [0]}],
        "filenames": ["HICO_train2015_1.jpg"],
        "size": [[100, 80]],
        "objects": ["bicycle"],
        "verbs": ["ride"],
    },
    "coco-relations": {
        "images": [{"id": 1, "file_name": "a.jpg"} | SIZE],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": COCO,
        "rel_categories": [{"id": 0, "name": "on"}],
        "rel_annotations": [{"id": 0, "image_id": 1, "subject_id": 0, "object_id": 1, "predicate_id": 0}],
    },
}


def places(value, path=()):
    """The paths of all values in a value."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def altered(value, rng):
    """A copy in which one to three values are odd, gone or there twice."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        *path, key = rng.choice(list(places(value)))
        holder = value
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict) and rng.random() < 0.25:
            del holder[key]
        elif isinstance(holder, list) and rng.random() < 0.25:
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        if not value:
            break
    return value


@contextmanager
def bar(what, total):
    yield lambda count: None


@pytest.mark.parametrize("source", FILES)
def test_no_entry_breaks_a_reader(tmp_path, source):
    rng, outcomes = random.Random(0), {"values": 0, "errors": 0}
    keys = {"source": source, "folder": str(tmp_path), "images": None, "train_annotations": "a.json"}
    data = TypeAdapter(Data).validate_python(keys | {"test_annotations": None})
    for _ in range(150):
        (tmp_path / "a.json").write_text(json.dumps(altered(FILES[source], rng)))
        try:
            opened = open_source(data, tmp_path)
            opened.examples("train", Skipped(), bar)
            opened.vocabularies()
            outcomes["values"] += 1
        except InputError as error:
            outcomes["errors"] += 1
            assert "a.json" in str(error)
    assert all(outcomes.values())
