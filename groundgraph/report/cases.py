"""One caption and its picture as the report shows it: what each entity means to each teacher and to each method."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, features

from groundgraph.data.types import Span
from groundgraph.errors import InputError
from groundgraph.report.pictures import numbered

LONGEST = 640  # px of an embedded photo's long side
_SHARE = 0.005  # a smaller share of a target is not shown


@dataclass(frozen=True)
class Teaching:
    """The teachers' targets for a case's entities; None for a teacher that the run does not have.

    Attributes:
        object: [E, V] targets (Eq. 6).
        interaction: [E, V] targets (Eq. 8).
        maps: [E, h, w], not negative: the vision-language model's activation maps, over the whole picture.
        fused: [E, V] targets (Eq. 9).
        weights: [E, T], the teachers' in `fused` (Eq. 11).
        phrase: [E, V] targets of phrases.
    """

    object: np.ndarray | None = None
    interaction: np.ndarray | None = None
    maps: np.ndarray | None = None
    fused: np.ndarray | None = None
    weights: np.ndarray | None = None
    phrase: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """One image and caption, with where each method grounds the caption's entities.

    Attributes:
        image: the image.
        caption: the caption.
        spans: [start, end) characters of each entity in the caption.
        answers: method -> one box (xyxy in pixels of the image) or None an entity; "truth" among them where there is
            one.
        correct: method -> whether each box is right; a method may be missing, "truth" needs none.
        triplets: (subject entity, predicate, object entity).
        good: whether the first method is wholly right; None: nobody knows.
        regions: [V, 4], the boxes that the targets are over.
        labels: what the detector calls them.
        teaching: the teachers' targets.
    """

    image: Image.Image
    caption: str
    spans: list[Span]
    answers: dict[str, list[Sequence[float] | None]]
    correct: dict[str, list[bool]] = field(default_factory=dict)
    triplets: list[tuple[int, str, int]] = field(default_factory=list)
    good: bool | None = None
    regions: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: list[str] = field(default_factory=list)
    teaching: Teaching = Teaching()


def case_record(case: Case) -> dict[str, Any]:
    """The case in plain values for the page's script: boxes as shares of the picture, targets as [region, share].

    Raises:
        InputError: where a list has not one value an entity, or a target not one column a region.
    """
    entities, teaching = len(case.spans), case.teaching
    for what, lists in (("boxes", case.answers), ("verdicts", case.correct)):
        for method, values in lists.items():
            if len(values) != entities:
                raise InputError(f"case {case.caption!r}: {method} has {len(values)} {what} for {entities} entities")
    targets = {}
    for name in ("object", "interaction", "phrase", "fused"):
        target = getattr(teaching, name)
        if target is not None and target.shape != (entities, len(case.regions)):
            shape = f"{target.shape} for {entities} entities and {len(case.regions)} regions"
            raise InputError(f"case {case.caption!r}: the {name} target is {shape}")
        targets[name] = None if target is None else [_largest(row) for row in target]
    return {
        **picture_record(case.image),
        "caption": case.caption,
        "words": [case.caption[start:end] for start, end in case.spans],
        "pieces": pieces(case.caption, case.spans),
        "triplets": [list(t) for t in case.triplets],
        "good": case.good,
        "answers": {m: [fractions(b, case.image.size) for b in boxes] for m, boxes in case.answers.items()},
        "correct": {m: [bool(v) for v in values] for m, values in case.correct.items()},
        "regions": [fractions(box, case.image.size) for box in case.regions.tolist()],
        "labels": list(case.labels),
        "targets": targets,
        "weights": None if teaching.weights is None else np.round(teaching.weights, 3).tolist(),
        "maps": None if teaching.maps is None else [heat(m) for m in teaching.maps],
    }


def graph_values(graph: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """A graph in plain values for the page's script: boxes as shares of the picture.

    Args:
        graph: as `pictures.graph_json` gives it.
        size: the picture's in pixels.
    """
    objects, relations = graph["objects"], graph["relations"]
    return {
        "names": numbered([item["category"] for item in objects]),
        "scores": [item["score"] for item in objects],
        "boxes": [fractions(item["box"], size) for item in objects],
        "relations": [[r["subject"], r["predicate"], r["object"], r["score"]] for r in relations],
    }


def picture_record(image: Image.Image) -> dict[str, Any]:
    """An image as the page embeds it: a data: address (WebP where Pillow has it) and its size."""
    image = image.convert("RGB")
    shown = image.copy()
    shown.thumbnail((LONGEST, LONGEST))
    buffer, kind = io.BytesIO(), "webp" if features.check("webp") else "png"
    shown.save(buffer, kind, quality=85)
    return {"image": _address(buffer, kind), "size": list(image.size)}


def heat(values: np.ndarray) -> str:
    """A map [h, w], not negative, as a small transparent picture to lay over the image: the warmer, the more."""
    share = values / max(float(values.max(initial=0)), 1e-12)
    pixels = matplotlib.colormaps["inferno"](share)
    pixels[..., 3] = 0.85 * share**0.6
    buffer = io.BytesIO()
    Image.fromarray((pixels * 255).astype(np.uint8), "RGBA").save(buffer, "png", optimize=True)
    return _address(buffer, "png")


def fractions(box: Sequence[float] | None, size: tuple[int, int]) -> list[float] | None:
    """[left, top, width, height] of a box as shares of the picture, cut at its edges."""
    if box is None:
        return None
    corners = np.sort(np.reshape(np.asarray(box, float), (2, 2)), 0) / size
    (x0, y0), (x1, y1) = np.clip(corners, 0, 1)
    return [round(float(v), 4) for v in (x0, y0, x1 - x0, y1 - y0)]


def pieces(text: str, spans: Sequence[Span]) -> list[tuple[str, int | None]]:
    """The text cut at the spans: (piece, entity or None). Of two spans that overlap, the later is not marked."""
    cut: list[tuple[str, int | None]] = []
    at = 0
    for start, end, number in sorted((*span, i) for i, span in enumerate(spans)):
        if start < at or end <= start:
            continue
        cut += [(text[at:start], None), (text[start:end], number)]
        at = end
    return [piece for piece in (*cut, (text[at:], None)) if piece[0]]


def _largest(row: np.ndarray) -> list[list[float]]:
    """[region, share] of the shares worth showing, largest first."""
    order = np.argsort(-row, kind="stable")
    return [[int(k), round(float(row[k]), 3)] for k in order if row[k] >= _SHARE]


def _address(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
