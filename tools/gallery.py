"""Draw docs/gallery: one drawn scene as each data set would annotate it, written in its form and read by its reader.

Run: python -m tools.gallery [--out docs/gallery]. Nothing of the data sets themselves is used: the scene is drawn with
MiniGenome's brushes, and what is said of it was written here, by the data sets' published vocabularies and habits.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from groundgraph.data.images import open_image
from groundgraph.data.minigenome.drawing import CANVAS, Canvas, Look
from groundgraph.data.types import GroundTruth
from groundgraph.report.pictures import save_record
from tools.gallery_forms import DATA_SETS, FILE, Boxes

SIDE = 360  # pixels of a picture as the page shows it
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


if __name__ == "__main__":
    main()
