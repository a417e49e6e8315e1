"""A MiniGenome scene while it grows: backdrop, things put down, relations, and what of it is left to see."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from groundgraph.data.minigenome.drawing import CANVAS, PEOPLE, SUPERSAMPLING, Canvas, Drawn, Look
from groundgraph.data.minigenome.icons import HAIRS, ICONS, SKINS, VIVID, Colour

MIN_VISIBLE = 0.35  # of an object's own pixels; what is more hidden is no object of the scene
MIN_PIXELS = 40  # canvas pixels
MIN_SHORT_SIDE = 8  # canvas pixels

_OUTDOORS = (
    ((190, 220, 245), (150, 195, 110)),
    ((205, 225, 240), (206, 190, 150)),
    ((175, 202, 235), (120, 170, 90)),
    ((214, 216, 226), (160, 160, 166)),
)
_INDOORS = (((226, 220, 206), (176, 150, 125)), ((206, 218, 210), (150, 120, 96)), ((230, 210, 214), (190, 180, 170)))
_SHIFTED = (
    ((250, 214, 170), (180, 150, 100)),
    ((120, 140, 190), (90, 120, 100)),
    ((236, 242, 250), (226, 232, 238)),
    ((150, 210, 230), (70, 140, 190)),
)


@dataclass(frozen=True)
class SceneObject:
    """A visible object: category, colour name, tight box of its visible pixels (x0, y0, x1, y1), visible fraction."""

    category: str
    colour: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class Scene:
    """An image and what is true of it.

    Attributes:
        image: the drawing.
        objects: what is visible in it.
        relations: (subject, predicate, object), indices into objects; all hold in the drawing.
        captioned: which of them captions speak of, as indices into relations.
        setting: where it is ("field", "room", ...).
    """

    image: Image.Image
    objects: tuple[SceneObject, ...]
    relations: tuple[tuple[int, str, int], ...]
    captioned: tuple[int, ...]
    setting: str


def _brightened(colour: Colour, by: int) -> Colour:
    red, green, blue = (min(255, max(0, value + by)) for value in colour)
    return red, green, blue


class Builder:
    """One scene while it grows: a canvas, the dice, and the relations so far."""

    def __init__(self, rng: random.Random, style: str) -> None:
        self.rng = rng
        indoors = rng.random() < 0.25
        palette = _INDOORS if indoors else _OUTDOORS if style == "vg" else _SHIFTED
        far, near = rng.choice(palette)
        jitter = rng.randint(-10, 10)
        self.horizon = rng.uniform(0.38, 0.58) * CANVAS
        self.canvas = Canvas(_brightened(far, jitter))
        self.canvas.shape("r", [(0, self.horizon), (CANVAS, CANVAS)], _brightened(near, jitter), None)
        self.setting = (
            "room" if indoors else {0: "field", 1: "beach", 2: "park", 3: "street"}[palette.index((far, near))]
        )
        self._clutter(indoors)
        self.relations: list[tuple[int, str, int]] = []
        self.captioned: list[int] = []
        self.full: dict[int, int] = {}

    def _clutter(self, indoors: bool) -> None:
        """Clouds, tufts of grass: no objects, so that not being the backdrop does not make one."""
        for _ in range(self.rng.randint(1, 4)):
            x, w = self.rng.uniform(0, CANVAS), self.rng.uniform(16, 50)
            if indoors:
                y = self.rng.uniform(0.2, 0.8) * self.horizon
                self.canvas.shape("r", [(x, y), (x + w * 0.6, y + 3)], (160, 150, 140), None)
            elif self.rng.random() < 0.5:
                y = self.rng.uniform(0.05, 0.6) * self.horizon
                self.canvas.shape("e", [(x - w / 2, y), (x + w / 2, y + w * 0.25)], (240, 244, 250), None)
            else:
                y = self.rng.uniform(self.horizon + 4, CANVAS)
                self.canvas.shape("l", [(x, y), (x + 2, y - 6), (x + 5, y)], (96, 140, 70), None)

    # What can be put down -------------------------------------------------------------------------------------------
    def icon(
        self,
        category: str,
        x: float,
        bottom: float,
        unit: float,
        flip: bool = False,
        squash: float = 1.0,
        colour: str | None = None,
    ) -> Drawn:
        """Put a thing down: its base's centre at (x, bottom), `unit` a man's height, all in canvas pixels."""
        drawn = self.canvas.icon(
            category, x, bottom, unit, colour or self.rng.choice(ICONS[category].palette), flip, squash
        )
        self._count(drawn.index)
        return drawn

    def person(self, kind: str, x: float, bottom: float, unit: float, pose: str, flip: bool) -> Drawn:
        """Put a person down, feet or seat at (x, bottom), with garments that they wear."""
        dress = kind in ("woman", "girl") and self.rng.random() < 0.6
        look = Look(
            "dress" if dress else "shirt",
            self.rng.choice(VIVID),
            self.rng.choice(("blue", "black", "brown", "gray", "white")),
            self.rng.choice(SKINS),
            self.rng.choice(HAIRS),
        )
        drawn = self.canvas.person(kind, x, bottom, unit, look, pose, flip)
        self._count(drawn.index, *drawn.garments)
        for garment in drawn.garments:
            self.relate(drawn.index, "wearing", garment, captioned=self.rng.random() < 0.15)
        return drawn

    def twin(self, category: str, x: float, ground: float, unit: float, flip: bool) -> Drawn:
        """Put down a second thing of a category, which does nothing."""
        if category in PEOPLE:
            return self.person(category, x, ground, unit, self.rng.choice(("stand", "stand", "walk")), flip)
        bottom = ground - 0.55 * unit if category == "kite" else ground
        return self.icon(category, x, bottom, unit, flip)

    def relate(self, subject: int, predicate: str, obj: int, captioned: bool = True) -> None:
        """Note what is true of two things that were put down, and whether captions speak of it."""
        self.relations.append((subject, predicate, obj))
        if captioned:
            self.captioned.append(len(self.relations) - 1)

    def _count(self, *indices: int) -> None:
        counts = np.bincount(np.asarray(self.canvas.owner).ravel(), minlength=256)
        for index in indices:
            self.full[index] = int(counts[index + 1])
        self.full[indices[0]] += sum(self.full[i] for i in indices[1:])

    # What is left to see ----------------------------------------------------------------------------------------------
    def finish(self) -> Scene:
        """The scene: objects that are visible enough, with the boxes of their visible pixels, and their relations."""
        owner = np.asarray(self.canvas.owner)
        n = len(self.canvas.categories)
        counts = np.bincount(owner.ravel(), minlength=n + 1)[1:]
        # A person's visible part is the body and the garments worn; a garment's is its own.
        whole = counts.copy()
        lut = np.arange(256, dtype=np.uint8)
        for index, parent in enumerate(self.canvas.parent):
            if parent != index:
                whole[parent] += counts[index]
                lut[index + 1] = parent + 1
        bodies = lut[owner]
        keep: dict[int, int] = {}
        objects: list[SceneObject] = []
        for index in range(n):
            visible = whole[index] / max(1, self.full[index])
            if visible < MIN_VISIBLE or whole[index] < MIN_PIXELS:
                continue
            mask = (owner if self.canvas.parent[index] != index else bodies) == index + 1
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            if min(x1 - x0, y1 - y0) < MIN_SHORT_SIDE:
                continue
            keep[index] = len(objects)
            left, top, right, bottom = (float(v) / SUPERSAMPLING for v in (x0, y0, x1, y1))
            category, colour = self.canvas.categories[index], self.canvas.colours[index]
            objects.append(SceneObject(category, colour, (left, top, right, bottom), float(min(1.0, visible))))
        relations: list[tuple[int, str, int]] = []
        captioned = []
        for i, (s, predicate, o) in enumerate(self.relations):
            if s in keep and o in keep:
                if i in self.captioned:
                    captioned.append(len(relations))
                relations.append((keep[s], predicate, keep[o]))
        image = self.canvas.image.reduce(SUPERSAMPLING)
        return Scene(image, tuple(objects), tuple(relations), tuple(captioned), self.setting)
