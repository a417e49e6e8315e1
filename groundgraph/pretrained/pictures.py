"""Scene graphs drawn on their images, and as JSON beside the pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.files import atomic_write
from groundgraph.data.images import ImageError, open_image
from groundgraph.data.text import read_json
from groundgraph.data.types import ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.report.pictures import FORMATS, save_graph
from groundgraph.sgg.calibration import at_least


def predict_images(
    model: SceneGraphModel,
    images: Sequence[Path],
    out: Path,
    top: int = 10,
    kind: str = "png",
    min_score: float = 0.0,
    skipped: Skipped | None = None,
    progress: ProgressBar | None = None,
) -> dict[str, dict[str, Any]]:
    """Find and draw the scene graph of each image.

    Args:
        model: Whose graphs.
        images: Image files.
        out: Gets NAME.KIND for each image, NAME-2.KIND where that is a file not made here, and graphs.json, to which
            the new graphs are added: {image: {"objects", "relations", "path": the image's, "pictures": [NAME.KIND]}}.
        top: Relations drawn and written an image.
        kind: png, or svg or pdf: vectors with words as text.
        min_score: Of the relations drawn and written, with the objects that they join, in 0..1; 0: all.
        skipped: Gets what cannot be used, with the cause.
        progress: Shows how far it is.

    Returns:
        What was added to graphs.json.

    Raises:
        InputError: Names the fix, on another kind, and where `out` holds a graphs.json that was not written here.
    """
    if kind not in FORMATS:
        raise InputError(f"pictures are written as {', '.join(FORMATS)}, not {kind}")
    skipped, added = Skipped() if skipped is None else skipped, {}
    out.mkdir(parents=True, exist_ok=True)
    records = _written_before(out / "graphs.json")
    keys = {record["path"]: key for key, record in records.items()}
    taken = {name for record in records.values() for name in record["pictures"]}
    try:
        for path, graph in model.graphs(list(dict.fromkeys(images)), skipped, progress):
            try:
                picture = open_image(path)
            except ImageError as error:  # precomputed regions never opened it
                skipped.add(str(path), str(error))
                continue
            graph, place = at_least(graph, min_score), str(path.absolute())
            # The path as given names the image, unless another image was called so from another folder.
            key = keys.setdefault(place, place if str(path) in records else str(path))
            drawn = records[key]["pictures"] if key in records else []
            name = next((name for name in drawn if name.endswith(f".{kind}")), None)
            if name is None:
                name = _free(out, path.stem, kind, taken)
                taken.add(name)
                drawn = [*drawn, name]
            save_graph(out / name, picture, graph, model.categories, model.predicates, top)
            records[key] = added[key] = model.record(graph, top) | {"path": place, "pictures": drawn}
    finally:  # also of a command broken off: what was drawn is known as drawn here
        with atomic_write(out / "graphs.json") as temporary:
            text = json.dumps(records, indent=1, ensure_ascii=False)
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file's name may be no text
    return added


def _written_before(file: Path) -> dict[str, dict[str, Any]]:
    """What earlier calls wrote to a folder's graphs.json."""
    if not file.exists():
        return {}
    fix = "give another folder to --out"
    written = read_json(file, "the graphs.json of `groundgraph predict`", fix)
    records = written.values() if isinstance(written, dict) else [None]
    if not all(isinstance(record, dict) and {"path", "pictures"} <= set(record) for record in records):
        raise InputError(f"{file}: not written by `groundgraph predict`, which would add to it; {fix}")
    return written


def _free(out: Path, stem: str, kind: str, taken: set[str]) -> str:
    """A file name that nothing has yet: STEM.KIND, or STEM-2.KIND and so on."""
    name, number = f"{stem}.{kind}", 2
    while name in taken or os.path.lexists(out / name):
        name, number = f"{stem}-{number}.{kind}", number + 1
    return name
