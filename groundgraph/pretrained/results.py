"""What a model says of an image: a graph with its names, and a caption with its boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from groundgraph.data.types import Graph, ParsedCaption
from groundgraph.formats.graph_json import graph_record


@dataclass(frozen=True)
class NamedGraph:
    """A scene graph with the names of its labels and predicates.

    Attributes:
        graph: The arrays.
        categories: Label k means categories[k - 1].
        predicates: Column k of the predicate scores means predicates[k - 1].
    """

    graph: Graph
    categories: tuple[str, ...]
    predicates: tuple[str, ...]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """{"category", "score", "box": [x1, y1, x2, y2] in pixels} of each object."""
        return self.record()["objects"]

    @property
    def relations(self) -> list[dict[str, Any]]:
        """{"subject", "predicate", "object", "score"}, best first; subject and object are places in `objects`."""
        return self.record()["relations"]

    def record(self) -> dict[str, list[dict[str, Any]]]:
        """Objects and relations as JSON, see `formats.graph_json.graph_record`."""
        return graph_record(self.graph, (self.categories, self.predicates))

    def save(self, path: str | Path, image: Image.Image, top: int = 10) -> None:
        """Draw the `top` best relations on the image, see `report.pictures.save_graph`."""
        from groundgraph.report.pictures import save_graph  # with matplotlib, which takes half a second

        save_graph(Path(path), image, self.graph, self.categories, self.predicates, top)


@dataclass(frozen=True)
class GroundedCaption:
    """A caption whose words have boxes.

    Attributes:
        caption: With its entities and triplets.
        boxes: [E, 4] float32 xyxy in pixels, the region that each entity means.
        scores: [E] float32, the region's share among all of the image.
    """

    caption: ParsedCaption
    boxes: np.ndarray
    scores: np.ndarray

    def record(self) -> dict[str, Any]:
        """As JSON.

        {"caption", "entities": [{"text", "span": [start, end) characters, "box": [x1, y1, x2, y2] in pixels,
        "score"}], "relations": [{"subject", "predicate", "object"}]}: subject and object are places in "entities".
        """
        rows = zip(self.caption.entities, self.boxes.tolist(), self.scores.tolist(), strict=True)
        entities = [
            {
                "text": entity.text,
                "span": list(entity.span),
                "box": [round(value, 1) for value in box],
                "score": float(f"{score:.4g}"),
            }
            for entity, box, score in rows
        ]
        relations = [
            {"subject": t.subject, "predicate": t.predicate, "object": t.object} for t in self.caption.triplets
        ]
        return {"caption": self.caption.text, "entities": entities, "relations": relations}

    def save(self, path: str | Path, image: Image.Image) -> None:
        """Draw the boxes with their words, and the caption's relations, on the image; the ending gives the format."""
        from groundgraph.report.pictures import save_record

        record = self.record()
        objects = [
            {"category": entity["text"], "score": entity["score"], "box": entity["box"]}
            for entity in record["entities"]
        ]
        save_record(Path(path), image, {"objects": objects, "relations": record["relations"]})
