"""MiniGenome's scenes: what stands where, what it does to what, and which of two alike does it.

A scene is one or two interactions and, in most images, an idle twin of a participant: a second horse that nobody
rides, a second cup that nobody holds. The captions speak of the interactions; which of the two is meant can only be
told from the picture. Everything is drawn from `random.Random(f"{style}-{seed}-{index}")`, so a scene never changes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from groundgraph.data.minigenome.drawing import (
    CANVAS,
    HAIRS,
    ICONS,
    PEOPLE,
    SIDE,
    SKINS,
    SUPERSAMPLING,
    VIVID,
    Canvas,
    Drawn,
    Look,
)

PREDICATES: tuple[str, ...] = (
    "riding", "sitting on", "standing on", "lying on", "holding", "flying", "walking", "pushing", "kicking", "wearing",
    "eating", "behind", "under", "near", "on", "in", "has",
)  # fmt: skip
# Never labelled in the bundled detector's training: a fifth of the categories, of every kind.
UNSEEN = frozenset(
    {"zebra", "giraffe", "truck", "surfboard", "kite", "laptop", "guitar", "bed", "helmet", "tower", "vase"}
)

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
    """A visible object: its category, colour name, tight box of its visible pixels (x0, y0, x1, y1), visible fraction."""

    category: str
    colour: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class Scene:
    """An image and what is true of it.

    relations  (subject, predicate, object), indices into objects; all hold in the drawing
    captioned  which of them captions speak of, as indices into relations
    setting    where it is ("field", "room", ...)
    """

    image: Image.Image
    objects: tuple[SceneObject, ...]
    relations: tuple[tuple[int, str, int], ...]
    captioned: tuple[int, ...]
    setting: str


class _Builder:
    """One scene while it grows: a canvas, the dice, and the relations so far."""

    def __init__(self, rng: random.Random, style: str):
        self.rng = rng
        indoors = rng.random() < 0.25
        palette = _INDOORS if indoors else _OUTDOORS if style == "vg" else _SHIFTED
        far, near = rng.choice(palette)
        jitter = rng.randint(-10, 10)
        self.horizon = rng.uniform(0.38, 0.58) * CANVAS
        self.canvas = Canvas(tuple(v + jitter if v + jitter < 256 else 255 for v in far))
        self.canvas.shape("r", [(0, self.horizon), (CANVAS, CANVAS)], tuple(max(0, v + jitter) for v in near), None)
        self.setting = (
            "room" if indoors else {0: "field", 1: "beach", 2: "park", 3: "street"}[palette.index((far, near))]
        )
        self._clutter(indoors)
        self.relations: list[tuple[int, str, int]] = []
        self.captioned: list[int] = []
        self.full: dict[int, int] = {}

    def _clutter(self, indoors: bool) -> None:
        """Things that are no objects: clouds, a carpet, tufts of grass. They keep 'not the backdrop' from meaning 'object'."""
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
        drawn = self.canvas.icon(
            category, x, bottom, unit, colour or self.rng.choice(ICONS[category].palette), flip, squash
        )
        self._count(drawn.index)
        return drawn

    def person(self, kind: str, x: float, bottom: float, unit: float, pose: str, flip: bool) -> Drawn:
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
        if category in PEOPLE:
            return self.person(category, x, ground, unit, self.rng.choice(("stand", "stand", "walk")), flip)
        bottom = ground - 0.55 * unit if category == "kite" else ground
        return self.icon(category, x, bottom, unit, flip)

    def relate(self, subject: int, predicate: str, obj: int, captioned: bool = True) -> None:
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
        objects = []
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
            box = tuple(float(v) / SUPERSAMPLING for v in (x0, y0, x1, y1))
            objects.append(
                SceneObject(self.canvas.categories[index], self.canvas.colours[index], box, float(min(1.0, visible)))
            )
        relations, captioned = [], []
        for i, (s, predicate, o) in enumerate(self.relations):
            if s in keep and o in keep:
                if i in self.captioned:
                    captioned.append(len(relations))
                relations.append((keep[s], predicate, keep[o]))
        image = self.canvas.image.reduce(SUPERSAMPLING)
        return Scene(image, tuple(objects), tuple(relations), tuple(captioned), self.setting)


# Interactions: each draws one around x on the ground line and relates who takes part. u = a man's height, s = direction.
def _ride(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    mount = b.rng.choice(
        ("horse", "horse", "elephant", "zebra", "cow", "bike", "bike", "motorcycle", "motorcycle", "skateboard")
    )
    s = -1 if flip else 1
    under = b.icon(mount, x, ground, u, flip)
    if mount == "skateboard":
        who = b.person(b.rng.choice(list(PEOPLE)), x, ground - 0.14 * u, u, b.rng.choice(("stand", "walk")), flip)
    else:
        icon = ICONS[mount]
        who = b.person(
            b.rng.choice(list(PEOPLE)), x - s * 0.06 * u, ground - icon.height * u * (1 - icon.seat), u, "ride", flip
        )
    b.relate(who.index, "riding", under.index)
    if b.rng.random() < 0.35:
        _headgear(b, who, u, "helmet" if mount in ("bike", "motorcycle", "skateboard") else "hat")


def _headgear(b: _Builder, who: Drawn, u: float, kind: str) -> None:
    scale = u * (0.86 if b.canvas.categories[who.index] in ("boy", "girl") else 1.0)
    worn = b.icon(kind, who.head[0], who.head[1] + 0.10 * u, scale)
    b.relate(who.index, "wearing", worn.index)


def _sit(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    seat = b.rng.choice(("bench", "bench", "chair", "chair", "couch", "bed", "box"))
    icon, s = ICONS[seat], -1 if flip else 1
    under = b.icon(seat, x, ground, u, flip)
    top = ground - icon.height * u * (1 - icon.seat)
    if b.rng.random() < 0.75:
        who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.04 * u, top, u, "sit", flip)
        if b.rng.random() < 0.4:
            _held(b, who, u, flip, ("book", "cup", "bottle", "phone", "laptop", "guitar", "cat"))
    else:
        who = b.icon("cat", x, top, u, flip)
    b.relate(who.index, "sitting on", under.index)


def _stand_on(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    if b.rng.random() < 0.5:
        board = b.rng.choice(("surfboard", "surfboard", "skateboard", "box"))
        under = b.icon(board, x, ground, u, flip)
        rise = ICONS[board].height * u * (0.8 if board != "box" else 0.86)
        who = b.person(b.rng.choice(list(PEOPLE)), x, ground - rise, u, b.rng.choice(("stand", "walk")), flip)
    else:
        place = b.rng.choice(("bench", "table", "car", "chair", "fence", "bus", "truck", "couch"))
        icon = ICONS[place]
        under = b.icon(place, x, ground, u, flip)
        animal = b.rng.choice(("bird", "dog", "bird", "sheep") if place not in ("fence", "chair") else ("bird",))
        who = b.icon(animal, x, ground - icon.height * u * (1 - icon.seat), u, flip)
    b.relate(who.index, "standing on", under.index)


def _lie(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    place = b.rng.choice(("bed", "bed", "couch", "bench"))
    icon, s = ICONS[place], -1 if flip else 1
    under = b.icon(place, x, ground, u, flip)
    top = ground - icon.height * u * (1 - icon.seat)
    if b.rng.random() < 0.7:
        kind = b.rng.choice(list(PEOPLE))
        who = b.person(kind, x - s * 0.12 * u, top, u * (0.9 if kind in ("man", "woman") else 1.1), "lie", flip)
    else:
        who = b.icon(b.rng.choice(("cat", "dog")), x, top + 0.02 * u, u * 1.15, flip, squash=0.62)
    b.relate(who.index, "lying on", under.index)


_HELD = (
    "umbrella",
    "ball",
    "bottle",
    "cup",
    "book",
    "bag",
    "racket",
    "phone",
    "guitar",
    "flower",
    "basket",
    "box",
    "kite",
    "laptop",
)
# How far below the hand a held thing's base is, as a fraction of its height.
_GRIP = {"umbrella": 0.18, "racket": 0.12, "bag": 0.92, "basket": 0.92, "kite": 0.10, "flower": 0.30, "guitar": 0.55}


def _held(b: _Builder, who: Drawn, u: float, flip: bool, things: tuple[str, ...]) -> None:
    thing = b.rng.choice(things)
    s = -1 if flip else 1
    height = ICONS[thing].height * u
    lean = 0.0 if thing in ("umbrella", "racket", "kite", "bag", "basket") else 0.35 * height * ICONS[thing].aspect
    held = b.icon(thing, who.hand[0] + s * lean, who.hand[1] + _GRIP.get(thing, 0.5) * height, u, flip)
    b.relate(who.index, "holding", held.index)


def _hold(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.12 * u, ground, u, "hold", flip)
    _held(b, who, u, flip, _HELD)
    if b.rng.random() < 0.25:
        _headgear(b, who, u, "hat")


def _fly(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.15 * u, ground, u, "hold", flip)
    far = (x + s * 0.38 * u, max(0.52 * u, who.hand[1] - b.rng.uniform(0.25, 0.5) * u))
    b.canvas.string(who.hand, far)
    b.relate(who.index, "flying", b.icon("kite", far[0], far[1], u, flip).index)


def _walk(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    animal = b.rng.choice(("dog", "dog", "dog", "horse", "sheep"))
    gap = 0.42 + ICONS[animal].height * ICONS[animal].aspect / 2
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.32 * u, ground, u, "walk", flip)
    led = b.icon(animal, x + s * (gap - 0.32) * u, ground, u, flip)
    neck = (
        led.box[0] + (0.25 if flip else 0.75) * (led.box[2] - led.box[0]),
        led.box[1] + 0.35 * (led.box[3] - led.box[1]),
    )
    b.canvas.string(who.hand, neck)
    b.relate(who.index, "walking", led.index)


def _push(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    thing = b.rng.choice(("bike", "motorcycle", "box", "chair", "car", "table"))
    width = ICONS[thing].height * ICONS[thing].aspect
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * (0.22 + 0.2 * width) * u, ground, u, "push", flip)
    b.relate(who.index, "pushing", b.icon(thing, x + s * (0.12 + 0.3 * width) * u, ground, u, flip).index)


def _kick(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.2 * u, ground, u, "kick", flip)
    reach = 0.40 * PEOPLE[b.canvas.categories[who.index]] - 0.2
    b.relate(who.index, "kicking", b.icon("ball", x + s * (reach + 0.02) * u, ground - 0.02 * u, u, flip).index)


def _wear(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    who = b.person(b.rng.choice(list(PEOPLE)), x, ground, u, b.rng.choice(("stand", "walk")), flip)
    _headgear(b, who, u, b.rng.choice(("hat", "hat", "helmet")))


def _eat(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    animal = b.rng.choice(("horse", "cow", "sheep", "giraffe", "zebra", "elephant"))
    plant = "tree" if animal == "giraffe" else b.rng.choice(("bush", "flower"))
    icon = ICONS[animal]
    who = b.icon(animal, x - s * 0.2 * u, ground, u * 0.92, flip)
    mouth = x - s * 0.2 * u + s * icon.height * icon.aspect * 0.46 * u
    spread = ICONS[plant].height * ICONS[plant].aspect * 0.35 * u
    rise = max(0.0, icon.height * 0.5 - ICONS[plant].height) * u  # a plant on a rise reaches the mouth
    b.relate(
        who.index,
        "eating",
        b.icon(plant, mouth + s * spread, ground - rise, u * (0.9 if plant == "tree" else 1.1), flip).index,
    )


def _in(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    kind = b.rng.choice(("boat", "boat", "vase", "box", "basket"))
    if kind == "boat":
        who = b.person(b.rng.choice(list(PEOPLE)), x, ground - 0.20 * u, u, "ride", flip).index
    elif kind == "vase":
        who = b.icon("flower", x, ground - 0.28 * u, u * 1.1, flip).index
    else:
        scale = 1.25
        content = b.rng.choice(("cat", "bird", "ball", "bottle", "flower", "book"))
        who = b.icon(content, x, ground - ICONS[kind].height * scale * u * 0.42, u, flip).index
        b.relate(who, "in", b.icon(kind, x, ground, u * scale, flip).index)
        return
    b.relate(who, "in", b.icon(kind, x, ground, u, flip).index)


def _on(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    place = b.rng.choice(("table", "table", "table", "bench", "box", "chair", "bed"))
    icon = ICONS[place]
    under = b.icon(place, x, ground, u * 1.15, flip)
    top = ground - icon.height * u * 1.15 * (1 - icon.seat) + 1
    things = b.rng.sample(
        ("cup", "bottle", "book", "laptop", "bag", "vase", "phone", "basket", "flower", "ball", "box", "hat"), 2
    )
    if place in ("box", "chair"):
        spots, things = (0.0,), things[:1]
    else:
        spots = (-0.26, 0.26)
        things = [things[0]] * 2 if b.rng.random() < 0.35 else things[: b.rng.choice((1, 2))]
    for offset, thing in zip(spots, things, strict=False):
        b.relate(b.icon(thing, x + offset * u, top, u, flip).index, "on", under.index)


def _under(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    place = b.rng.choice(("table", "tree", "umbrella", "bench"))
    scale = {"table": 1.35, "bench": 1.3, "tree": 1.05, "umbrella": 1.35}[place]
    thing = b.rng.choice(("dog", "cat", "ball", "bag", "box", "bird", "basket"))
    over = b.icon(place, x, ground - 0.03 * u, u * scale, flip)
    side = b.rng.choice((-1, 1)) * (0.16 if place in ("tree", "umbrella") else 0.02) * u
    b.relate(b.icon(thing, x + side, ground, u * 0.9, flip).index, "under", over.index)


def _behind(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    front = b.rng.choice(("fence", "fence", "bush", "bench", "car", "table"))
    who = b.rng.choice(("horse", "cow", "sheep", "bear", "elephant", "zebra", "giraffe", "car", "person"))
    offset = s * 0.15 * u
    if who == "person":
        back = b.person(b.rng.choice(("man", "woman")), x - offset, ground - 0.10 * u, u, "stand", flip).index
    else:
        back = b.icon(who, x - offset, ground - 0.16 * u, u * (1.25 if who in ("sheep", "car") else 1.0), flip).index
    b.relate(back, "behind", b.icon(front, x + offset, ground, u * 0.85, flip).index)


def _near(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    mark = b.rng.choice(("tree", "house", "tower", "bush", "bench", "car", "truck", "bus", "box"))
    who = b.rng.choice(("dog", "horse", "cow", "bird", "cat", "bear", "chair", "bike", "ball", "person"))
    wide = ICONS[mark].height * ICONS[mark].aspect
    scale = min(1.0, 0.9 / wide)
    place = b.icon(mark, x - s * 0.28 * u, ground - 0.06 * u, u * scale, flip)
    spot = x + s * (0.5 * wide * scale + 0.02) * u
    one = (
        b.person(b.rng.choice(list(PEOPLE)), spot, ground, u, "stand", flip).index
        if who == "person"
        else b.icon(who, spot, ground, u * 0.9, flip).index
    )
    b.relate(one, "near", place.index)


def _has(b: _Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    owner = b.rng.choice(("bike", "bike", "house", "boat", "tower", "car", "bus"))
    icon = ICONS[owner]
    whole = b.icon(owner, x, ground, u, flip)
    if owner == "bike":
        part = b.icon("basket", x + s * 0.36 * icon.height * icon.aspect * u, ground - 0.36 * u, u, flip)
    else:
        lift = {"house": 0.97, "tower": 0.98, "boat": 0.68, "car": 0.94, "bus": 0.97}[owner]
        spot = x + s * (0.0 if owner in ("house", "tower") else -0.3 * icon.height * icon.aspect * u)
        part = b.icon("flag", spot, ground - lift * icon.height * u, u * 0.9, flip)
    b.relate(whole.index, "has", part.index)


Interaction = Callable[[_Builder, float, float, float, bool], None]
# (how often in the Visual-Genome-like style, in the COCO-like one)
INTERACTIONS: dict[Interaction, tuple[float, float]] = {
    _ride: (5, 7), _sit: (4, 3), _stand_on: (3, 4), _lie: (2, 2), _hold: (6, 4), _fly: (1.5, 3), _walk: (2.5, 3), _push: (2, 1), _kick: (1.5, 3), _wear: (2.5, 1),
    _eat: (2, 3), _in: (2.5, 2), _on: (4, 3), _under: (2.5, 2), _behind: (3, 2), _near: (3, 2), _has: (2, 1),
}  # fmt: skip


def sample(seed: int, index: int, style: str = "vg") -> Scene:
    """Draw scene `index` of world `seed`: the same pixels and truths at every call; style is "vg" or "coco" (shifted)."""
    rng = random.Random(f"{style}-{seed}-{index}")
    b = _Builder(rng, style)
    two = rng.random() < 0.85
    u = CANVAS * (rng.uniform(0.43, 0.53) if two else rng.uniform(0.55, 0.68)) * (1.0 if style == "vg" else 0.94)
    places = [0.26, 0.75] if two else [0.5]
    rng.shuffle(places)
    if rng.random() < 0.25:
        b.icon(
            rng.choice(("tree", "house", "tower", "bush")),
            rng.random() * CANVAS,
            b.horizon + rng.uniform(0.04, 0.12) * CANVAS,
            u * 0.8,
        )
    for number, place in enumerate(places):
        x = (place + rng.uniform(-0.03, 0.03)) * CANVAS
        ground, flip = CANVAS * rng.uniform(0.80, 0.96), rng.random() < 0.5
        parts = [i for r in b.captioned for i in (b.relations[r][0], b.relations[r][2]) if b.canvas.parent[i] == i]
        if number == 1 and parts and rng.random() < 0.85:
            category = b.canvas.categories[rng.choice(parts)]
            twin = b.twin(category, x, ground, u, flip)
            if rng.random() < 0.4:  # the twin stands by something, and nobody speaks of it
                other = b.icon(
                    rng.choice(("tree", "dog", "chair", "bag", "bush", "box", "flower")),
                    x + rng.choice((-0.42, 0.42)) * u,
                    ground + rng.uniform(-0.04, 0.04) * CANVAS,
                    u * 0.9,
                )
                b.relate(twin.index, "near", other.index, captioned=False)
        else:
            weights = [w[style == "coco"] for w in INTERACTIONS.values()]
            rng.choices(list(INTERACTIONS), weights)[0](b, x, ground, u, flip)
    if rng.random() < 0.3:
        b.icon(
            rng.choice(("ball", "box", "bag", "flower", "basket", "bottle", "bush")),
            rng.random() * CANVAS,
            CANVAS * rng.uniform(0.86, 0.99),
            u,
        )
    return b.finish()


assert SIDE * SUPERSAMPLING == CANVAS
