"""MiniGenome's interactions: who does what to what, drawn so that it is true.

Each function draws one around x on the ground line and relates who takes part; u is a man's height in canvas pixels,
s the way they face.
"""

from __future__ import annotations

from collections.abc import Callable

from groundgraph.data.minigenome.builder import Builder
from groundgraph.data.minigenome.drawing import PEOPLE, Drawn
from groundgraph.data.minigenome.icons import ICONS


def _ride(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _headgear(b: Builder, who: Drawn, u: float, kind: str) -> None:
    scale = u * (0.86 if b.canvas.categories[who.index] in ("boy", "girl") else 1.0)
    worn = b.icon(kind, who.head[0], who.head[1] + 0.10 * u, scale)
    b.relate(who.index, "wearing", worn.index)


def _sit(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _stand_on(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _lie(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _held(b: Builder, who: Drawn, u: float, flip: bool, things: tuple[str, ...]) -> None:
    thing = b.rng.choice(things)
    s = -1 if flip else 1
    height = ICONS[thing].height * u
    lean = 0.0 if thing in ("umbrella", "racket", "kite", "bag", "basket") else 0.35 * height * ICONS[thing].aspect
    held = b.icon(thing, who.hand[0] + s * lean, who.hand[1] + _GRIP.get(thing, 0.5) * height, u, flip)
    b.relate(who.index, "holding", held.index)


def _hold(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.12 * u, ground, u, "hold", flip)
    _held(b, who, u, flip, _HELD)
    if b.rng.random() < 0.25:
        _headgear(b, who, u, "hat")


def _fly(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.15 * u, ground, u, "hold", flip)
    far = (x + s * 0.38 * u, max(0.52 * u, who.hand[1] - b.rng.uniform(0.25, 0.5) * u))
    b.canvas.string(who.hand, far)
    b.relate(who.index, "flying", b.icon("kite", far[0], far[1], u, flip).index)


def _walk(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _push(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    thing = b.rng.choice(("bike", "motorcycle", "box", "chair", "car", "table"))
    width = ICONS[thing].height * ICONS[thing].aspect
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * (0.22 + 0.2 * width) * u, ground, u, "push", flip)
    b.relate(who.index, "pushing", b.icon(thing, x + s * (0.12 + 0.3 * width) * u, ground, u, flip).index)


def _kick(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    who = b.person(b.rng.choice(list(PEOPLE)), x - s * 0.2 * u, ground, u, "kick", flip)
    reach = 0.40 * PEOPLE[b.canvas.categories[who.index]] - 0.2
    b.relate(who.index, "kicking", b.icon("ball", x + s * (reach + 0.02) * u, ground - 0.02 * u, u, flip).index)


def _wear(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    who = b.person(b.rng.choice(list(PEOPLE)), x, ground, u, b.rng.choice(("stand", "walk")), flip)
    _headgear(b, who, u, b.rng.choice(("hat", "hat", "helmet")))


def _eat(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _in(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


def _on(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    place = b.rng.choice(("table", "table", "table", "bench", "box", "chair", "bed"))
    icon = ICONS[place]
    under = b.icon(place, x, ground, u * 1.15, flip)
    top = ground - icon.height * u * 1.15 * (1 - icon.seat) + 1
    things = b.rng.sample(
        ("cup", "bottle", "book", "laptop", "bag", "vase", "phone", "basket", "flower", "ball", "box", "hat"), 2
    )
    if place in ("box", "chair"):
        offsets, things = [0.0], things[:1]
    else:
        offsets = [-0.26, 0.26]
        things = [things[0]] * 2 if b.rng.random() < 0.35 else things[: b.rng.choice((1, 2))]
    for offset, thing in zip(offsets, things, strict=False):
        b.relate(b.icon(thing, x + offset * u, top, u, flip).index, "on", under.index)


def _under(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    place = b.rng.choice(("table", "tree", "umbrella", "bench"))
    scale = {"table": 1.35, "bench": 1.3, "tree": 1.05, "umbrella": 1.35}[place]
    thing = b.rng.choice(("dog", "cat", "ball", "bag", "box", "bird", "basket"))
    over = b.icon(place, x, ground - 0.03 * u, u * scale, flip)
    side = b.rng.choice((-1, 1)) * (0.16 if place in ("tree", "umbrella") else 0.02) * u
    b.relate(b.icon(thing, x + side, ground, u * 0.9, flip).index, "under", over.index)


def _behind(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    front = b.rng.choice(("fence", "fence", "bush", "bench", "car", "table"))
    who = b.rng.choice(("horse", "cow", "sheep", "bear", "elephant", "zebra", "giraffe", "car", "person"))
    offset = s * 0.15 * u
    if who == "person":
        back = b.person(b.rng.choice(("man", "woman")), x - offset, ground - 0.10 * u, u, "stand", flip).index
    else:
        back = b.icon(who, x - offset, ground - 0.16 * u, u * (1.25 if who in ("sheep", "car") else 1.0), flip).index
    b.relate(back, "behind", b.icon(front, x + offset, ground, u * 0.85, flip).index)


def _near(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
    s = -1 if flip else 1
    landmark = b.rng.choice(("tree", "house", "tower", "bush", "bench", "car", "truck", "bus", "box"))
    who = b.rng.choice(("dog", "horse", "cow", "bird", "cat", "bear", "chair", "bike", "ball", "person"))
    wide = ICONS[landmark].height * ICONS[landmark].aspect
    scale = min(1.0, 0.9 / wide)
    place = b.icon(landmark, x - s * 0.28 * u, ground - 0.06 * u, u * scale, flip)
    spot = x + s * (0.5 * wide * scale + 0.02) * u
    one = (
        b.person(b.rng.choice(list(PEOPLE)), spot, ground, u, "stand", flip).index
        if who == "person"
        else b.icon(who, spot, ground, u * 0.9, flip).index
    )
    b.relate(one, "near", place.index)


def _has(b: Builder, x: float, ground: float, u: float, flip: bool) -> None:
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


Interaction = Callable[[Builder, float, float, float, bool], None]
# (how often in the Visual-Genome-like style, in the COCO-like one)
INTERACTIONS: dict[Interaction, tuple[float, float]] = {
    _ride: (5, 7), _sit: (4, 3), _stand_on: (3, 4), _lie: (2, 2), _hold: (6, 4), _fly: (1.5, 3), _walk: (2.5, 3),
    _push: (2, 1), _kick: (1.5, 3), _wear: (2.5, 1), _eat: (2, 3), _in: (2.5, 2), _on: (4, 3), _under: (2.5, 2),
    _behind: (3, 2), _near: (3, 2), _has: (2, 1),
}  # fmt: skip
