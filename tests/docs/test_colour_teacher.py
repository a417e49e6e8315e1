"""The teacher that docs/extending.md shows: its length, and what the page says of how well it does."""

import importlib.util
import json
import re

import numpy as np
import pytest
from test_commands import DOCS, blocks

from groundgraph.data.images import open_image
from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.evaluation.grounding import entity_truth
from groundgraph.language import load_parser
from groundgraph.teachers import VISION_LANGUAGE_MODELS
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.vision import load_detector

PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")
FILES = {name: block.text for block in blocks(PAGE) for name in block.asked("file")}


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    for name in ("colours.py", "mini.palette"):
        (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    monkeypatch.setitem(VISION_LANGUAGE_MODELS, ".palette", None)  # what the file puts there goes again
    spec = importlib.util.spec_from_file_location("colours", tmp_path / "colours.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return InteractionTeacher(str(tmp_path / "mini.palette"))


def overlaps(boxes, true):
    """IoU of boxes [V, 4] with the best of true [G, 4]: [V]."""
    low, high = np.maximum(boxes[:, None, :2], true[:, :2]), np.minimum(boxes[:, None, 2:], true[:, 2:])
    shared = (high - low).clip(0).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, true)]
    return (shared / (areas[0][:, None] + areas[1] - shared)).max(1)


def test_it_takes_thirty_lines():
    assert sum(bool(line.strip()) for line in FILES["colours.py"].splitlines()) <= 30


def test_it_finds_what_is_named_by_colour_as_often_as_the_page_says(teacher, tmp_path):
    examples = list(MiniGenome("validation", "vg_caption", tmp_path, 60))
    parser, palette = load_parser("rules"), json.loads(FILES["mini.palette"])
    captions = [parser.parse(list(e.captions)) for e in examples]
    images = [open_image(e.path) for e in examples]
    regions = load_detector("torchvision", "bundled:detector", count=36).regions(images)
    right, chance = [], []
    for example, texts, found, told in zip(
        examples, captions, regions, teacher.targets(images, regions, captions), strict=True
    ):
        for caption, rows, meant in zip(texts, told, entity_truth(example, texts), strict=True):
            for entity, row, objects in zip(caption.entities, rows, meant, strict=True):
                if not set(entity.attributes) & set(palette):
                    np.testing.assert_allclose(row, 1 / len(found), rtol=1e-5)
                elif objects:
                    hits = overlaps(found.boxes, example.truth.boxes[list(objects)]) >= 0.5
                    right.append(hits[row.argmax()])
                    chance.append(hits.mean())
    says = re.search(r"of the (\d+) entities.*?right one for\s+(\d+) %.*? for (\d+) %", PAGE, re.S)
    figures = [len(right), 100 * np.mean(right), 100 * np.mean(chance)]
    np.testing.assert_allclose(figures, [float(v) for v in says.groups()], atol=1.5)
