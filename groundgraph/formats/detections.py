"""Another detector's boxes with labels and scores and nothing else, in a npz or JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.text import read_json
from groundgraph.errors import InputError
from groundgraph.formats.graph_json import graph_json_objects, is_graph_json
from groundgraph.formats.region_file import FileRegions, RegionFile, keyed
from groundgraph.formats.region_npz import padded_arrays

Detections = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes [V, 4], labels [V], scores [V]


class DetectionFile(RegionFile):
    """Boxes, labels and scores of images, matched to an example as `PrecomputedRegions` are; features are [V, 0].

    npz   file_names [N], categories [C] (strings); boxes [N, V, 4] xyxy in pixels; labels [N, V] into categories, -1 =
          no such region; scores [N, V]
    JSON  {image: {"objects": [{"category": name, "box": [x1, y1, x2, y2] in pixels, "score": 0..1}]}}, as `groundgraph
          predict` writes it; {"categories": [...], "predicates": [...], "graphs": {...}} around it lists all names
    """

    def __init__(self, source: str | Path, detections: dict[str, Detections], categories: Sequence[str]) -> None:
        rows, repeated = keyed(detections, str(source))
        self._detections, self._names = detections, list(detections)
        super().__init__(source, rows, categories, repeated)
        self._rows = rows

    @classmethod
    def load(cls, source: str | Path) -> DetectionFile:
        """Reads the file. Raises InputError, naming file and fix, for any other file."""
        path = Path(source)
        if path.suffix.lower() == ".json":
            content = read_json(path, "a JSON file of detections")
            if not is_graph_json(content):
                raise InputError(
                    f'{path}: not {{image: {{"objects": [{{"category": name, "box": [x1, y1, x2, y2], "score": '
                    "number}]}}; write that, or an npz file"
                )
            objects, categories = graph_json_objects(content, path)
            place = {name: number for number, name in enumerate(categories)}
            detections = {
                image: (
                    np.array([box for _, box, _ in own], np.float64).reshape(-1, 4),
                    np.array([place[name] for name, _, _ in own], np.int64),
                    np.array([score for _, _, score in own], np.float64),
                )
                for image, own in objects.items()
            }
            return cls(path, detections, categories)
        arrays = padded_arrays(path, ("boxes", "labels", "scores"))
        detections = {}
        for row, name in enumerate(arrays["file_names"].tolist()):
            there = arrays["labels"][row] >= 0
            detections.setdefault(name, tuple(arrays[part][row][there] for part in ("boxes", "labels", "scores")))
        return cls(path, detections, arrays["categories"].tolist())

    def read(self, key: str) -> FileRegions:
        """See `RegionFile.read`."""
        boxes, labels, scores = self._detections[self._names[self._rows[key]]]
        return FileRegions(boxes, np.zeros((len(boxes), 0), np.float32), labels, scores)
