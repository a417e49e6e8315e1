"""What the page shows of a photo: its caption grounded, its graph, and both as a page and as files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from groundgraph.app.photos import check_photo
from groundgraph.app.remembering import RememberingDetector
from groundgraph.data.images import ImageError, open_image
from groundgraph.data.types import Graph, Skipped
from groundgraph.errors import InputError
from groundgraph.pretrained.explaining import explained
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.pretrained.results import GroundedCaption, NamedGraph
from groundgraph.report.cases import case_record, graph_values, picture_record
from groundgraph.report.example import example_page
from groundgraph.report.pictures import graph_json
from groundgraph.sgg.calibration import at_least

TOP = 10  # relations shown, as `groundgraph predict` draws
MAX_CAPTION = 300  # characters
MAX_NAMES = 200  # of either vocabulary
_ANSWER = "answer"  # what a case calls the grounder's boxes


@dataclass(frozen=True)
class Finding:
    """What a model found in a photo.

    Attributes:
        photo: The file.
        graph: All of it, each thing once.
        min_score: The least score shown where nobody chose one.
        picture: The photo as the page embeds it.
        caption: Grounded; None: there is none, or nothing in it could be.
        case: The caption as the page shows it.
        notes: Sentences about what could not be found.
    """

    photo: Path
    graph: NamedGraph
    min_score: float
    picture: dict[str, Any]
    caption: GroundedCaption | None = None
    case: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def shown(self, min_score: float) -> NamedGraph:
        """The graph's relations of at least this score."""
        graph = self.graph
        return NamedGraph(at_least(graph.graph, min_score), graph.categories, graph.predicates)

    def page(self, min_score: float) -> str:
        """As HTML, see `report.example.example_page`; relations of at least this score."""
        graph = self.shown(min_score)
        record = graph_json(graph.graph, graph.categories, graph.predicates, TOP)
        values = graph_values(record, tuple(self.picture["size"]))
        return example_page(self.picture | values, self.case, {_ANSWER: "The word's box"}, self.notes)

    def record(self, min_score: float) -> dict[str, Any]:
        """As JSON: the grounded caption and the graph, boxes in pixels of the photo."""
        caption = self.caption.record() if self.caption else None
        return {"caption": caption, "graph": self.shown(min_score).record()}


class Finder:
    """Finds what the page shows, for one visitor at a time.

    Args:
        model: Finds. It is changed: photos that were looked at just now are not looked at again for another caption.
    """

    def __init__(self, model: SceneGraphModel) -> None:
        model.detector = RememberingDetector(model.detector)
        self.model, self.lock = model, Lock()
        self.open = bool(model.model.sizes.text)

    def find(self, photo: Path, caption: str = "", categories: str = "", predicates: str = "") -> Finding:
        """Find a photo's scene graph, and where its caption's words are.

        Args:
            photo: A file.
            caption: An English sentence, or nothing.
            categories: The names of things to find, separated by commas or lines; empty: all of the model's. A model
                with open heads finds any, another one some of its own.
            predicates: Those of relations, likewise.

        Raises:
            InputError: In words for whoever dropped the photo.
        """
        check_photo(photo)
        caption = " ".join(caption.split())
        if len(caption) > MAX_CAPTION:
            raise InputError(f"This caption has {len(caption):,} characters; up to {MAX_CAPTION} are read.")
        things, relations = _names(categories), _names(predicates)
        with self.lock:
            graph, min_score = self._graph(photo, things, relations)
            grounded, case, notes = self._grounded(photo, caption)
        picture = {key: case[key] for key in ("image", "size")} if case else picture_record(open_image(photo))
        return Finding(photo, graph, min_score, picture, grounded, case, tuple(notes))

    def _graph(self, photo: Path, things: list[str], relations: list[str]) -> tuple[NamedGraph, float]:
        model, skipped = self.model, Skipped()
        if not self.open:
            things, relations = (
                _among(things, model.categories, "thing"),
                _among(relations, model.predicates, "relation"),
            )
        with model.named(things or None, relations or None) if self.open else nullcontext():
            graph = next((graph for _, graph in model.graphs([photo], skipped)), None)
            if graph is None:
                raise InputError(_why_nothing(photo))
            named = NamedGraph(graph, tuple(model.categories), tuple(model.predicates))
            min_score = model.min_score
        return (named if self.open else _limited(named, things, relations)), min_score

    def _grounded(self, photo: Path, caption: str) -> tuple[GroundedCaption | None, dict[str, Any] | None, list[str]]:
        """The caption, as an object and as the page shows it, and what is to be said where there is no such thing."""
        if not caption:
            return None, None, ["Write a caption to see where each of its words is."]
        try:
            grounded, case = explained(self.model.words, photo, caption, _ANSWER)
        except InputError:  # the photo was read before
            return None, None, ["Nothing was found in the photo that a word could mean."]
        if not case.spans:
            return (
                None,
                None,
                ["The caption names nothing that could have a box; it is read as English. Try “a man riding a horse”."],
            )
        return grounded, case_record(case), []


def _why_nothing(photo: Path) -> str:
    """Of a photo without regions."""
    try:
        width, height = open_image(photo).size
    except ImageError:
        return "This photo cannot be read to its end: it is damaged. Save it again as JPEG or PNG."
    return f"Nothing was found in this photo of {width:,} × {height:,} pixels. Try a larger one, or another."


def _names(text: str) -> list[str]:
    names = [name for name in (" ".join(part.split()) for part in text.replace("\n", ",").split(",")) if name]
    if len(names) > MAX_NAMES:
        raise InputError(f"These are {len(names):,} names; up to {MAX_NAMES} are looked for at a time.")
    return list(dict.fromkeys(names))


def _among(names: Sequence[str], known: Sequence[str], kind: str) -> list[str]:
    """Names that a model with closed heads knows, as it spells them."""
    spelled = {name.lower(): name for name in known}
    unknown = [name for name in names if name.lower() not in spelled]
    if unknown:
        raise InputError(
            f"This model knows no {kind} called “{unknown[0][:60]}”. It knows {', '.join(known)}. "
            "(One that was trained with --set sgg.heads=open takes any names.)"
        )
    return [spelled[name.lower()] for name in names]


def _limited(graph: NamedGraph, things: Sequence[str], relations: Sequence[str]) -> NamedGraph:
    """The graph's objects and relations of these names; of none given, all."""
    whole: Graph = graph.graph
    objects, rows = np.ones(len(whole.labels), bool), np.ones(len(whole.pairs), bool)
    if things:
        objects = np.isin(whole.labels, [graph.categories.index(name) + 1 for name in things])
    if relations and len(rows):
        best = np.asarray(whole.predicate_scores)[:, 1:].argmax(1)
        rows = np.isin(best, [graph.predicates.index(name) for name in relations])
    if len(rows):
        rows = rows & objects[whole.pairs].all(1)
    return NamedGraph(whole.part(objects, rows), graph.categories, graph.predicates)
