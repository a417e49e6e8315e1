"""Makes groundgraph/language/wordnet_nouns.txt.gz from the noun files of Princeton's WordNet 3.0.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb /tmp/wordnet
    python -m tools.build_wordnet /tmp/wordnet/usr/share/wordnet

Reads data.noun, index.noun and cntlist.rev of any WordNet 3.0 folder (their format: WordNet's manual pages wndb(5WN)
and cntlist(5WN)) and writes the same bytes every time. `groundgraph/language/wordnet.py` tells the table's format.
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

TARGET = Path(__file__).parent.parent / "groundgraph" / "language" / "wordnet_nouns.txt.gz"
# Lexicographer files (lexnames(5WN)) by how likely a caption means their senses: what a photo shows as a thing, then
# what it may still show, then the rest. Within a group the sense that SemCor's annotators met most often wins.
_TOP, _ANIMAL, _ARTIFACT, _BODY, _FOOD, _OBJECT, _PERSON, _PLANT = 3, 5, 6, 8, 13, 17, 18, 20
_THINGS = frozenset({_TOP, _ANIMAL, _ARTIFACT, _BODY, _FOOD, _OBJECT, _PERSON, _PLANT})
_STUFF = frozenset({10, 14, 15, 19, 25, 27})  # communication, group, location, phenomenon, shape, substance
# A hypernym says too little to be a match when it is close to the top and has many kinds: "object", "artifact",
# "structure", "covering". Six steps below "entity" begin the words that people say of pictures (person, animal, plant,
# container); what is higher but has few kinds (rock, toy, river) is said of pictures too, and so is food (two senses).
_DEEP, _MANY = 6, 500
_ALWAYS = frozenset({"food"})
# What can be boxed, by lexicographer file (substances and phenomena too: water, snow), by what a place or a group is a
# kind of, and without what shows something else, which in a caption is the photo itself (picture, photo, close-up),
# or has no outline.
_BOXED = frozenset({_ANIMAL, _ARTIFACT, _BODY, _FOOD, _OBJECT, _PERSON, _PLANT, 19, 27})
_GROUP, _LOCATION = 14, 15
_BOXED_BELOW = {
    _TOP: frozenset({"object", "physical_object", "matter"}),
    _LOCATION: frozenset({"geographical_area", "tract"}),
    _GROUP: frozenset({"people", "social_group", "animal_group", "biological_group"}),
}
_NO_OUTLINE = frozenset({("representation", _ARTIFACT), ("gas", 27)})
# A word is boxed where at least this share of its uses in SemCor is; a sense that SemCor lacks counts a little.
_SHARE, _FIRST, _UNSEEN = 0.35, 1.0, 0.2
# Kinds by what they do or are made of, and not what anyone calls a picture of them: a bicycle would be a container.
_NOT_KINDS = frozenset(
    {
        ("wheeled_vehicle", "container"),
        ("spoon", "container"),
        ("ladder", "stairs"),
        ("hotdog", "sandwich"),
        *((sweet, "cake") for sweet in ("friedcake", "cookie", "pancake", "waffle")),
    }
)


class Synset(NamedTuple):
    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    file: int
    instance: bool  # of a class, as Paris is of city: proper names are left out


def read(folder: Path) -> tuple[dict[str, Synset], dict[str, list[str]], dict[tuple[str, int], int]]:
    """(offset -> synset, word -> its offsets in WordNet's order, (word, sense number) -> times seen in SemCor)."""
    synsets = {}
    for line in _lines(folder / "data.noun"):
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * i].lower() for i in range(count))
        rest = fields[5 + 2 * count :]
        pointers = [(rest[i], rest[i + 1]) for i in range(0, len(rest) - 3, 4)]
        up = tuple(offset for symbol, offset in pointers if symbol == "@")
        synsets[fields[0]] = Synset(words, up, int(fields[1]), any(symbol == "@i" for symbol, _ in pointers))
    index = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        index[fields[0]] = fields[-int(fields[2]) :]
    counts = {}
    for line in _lines(folder / "cntlist.rev"):
        key, number, times = line.split()
        word, _, rest = key.partition("%")
        if rest.startswith("1:"):
            counts[word, int(number)] = int(times)
    return synsets, index, counts


def _lines(path: Path) -> list[str]:
    """A file's lines without the licence that heads it (indented by two spaces). Raises ValueError where it lacks."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give the folder of WordNet 3.0 that holds data.noun")
    return [line for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("  ")]


def table(folder: Path) -> str:
    """The whole text of the table: a synset a line, hypernyms before their kinds."""
    synsets, index, counts = read(folder)
    synsets = {offset: s for offset, s in synsets.items() if not s.instance}

    @cache
    def above(offset: str) -> frozenset[str]:
        up = [u for u in synsets[offset].hypernyms if u in synsets]
        return frozenset(up).union(*map(above, up))

    @cache
    def depth(offset: str) -> int:
        return max((depth(u) + 1 for u in synsets[offset].hypernyms if u in synsets), default=0)

    kinds = Counter(u for offset in synsets for u in above(offset))
    broad = {o for o in synsets if depth(o) < _DEEP and kinds[o] > _MANY and synsets[o].words[0] not in _ALWAYS}

    def linked(offset: str) -> dict[str, None]:
        """The nearest hypernyms that say something; those above a skipped one stand in (pizza, nutriment, food)."""
        nearest: dict[str, None] = {}
        for u in synsets[offset].hypernyms:
            if u in synsets:
                skipped = u in broad or (synsets[offset].words[0], synsets[u].words[0]) in _NOT_KINDS
                nearest |= linked(u) if skipped else {u: None}
        return nearest

    def default(word: str, senses: list[tuple[int, str]]) -> set[int]:
        """The numbers of the senses that a caption means: one, or flesh and animal where flesh is first (lobster)."""
        files = {number: synsets[offset].file for number, offset in senses}

        def likely(number: int) -> tuple[int, bool, int, bool, int]:
            file = files[number]
            group = 0 if file in _THINGS else 1 if file in _STUFF else 2
            # What is eaten is in the picture more often than the plant that bears it.
            inedible = file == _PLANT and _FOOD in files.values()
            return group, inedible, -counts.get((word, number), 0), file == _PERSON, number

        ranked = sorted(files, key=likely)
        beast = [number for number in ranked if files[number] == _ANIMAL]
        return {ranked[0], *(beast[:1] if files[ranked[0]] == _FOOD else ())}

    @cache
    def boxed(offset: str) -> bool:
        file, chain = synsets[offset].file, [offset, *above(offset)]
        if any((word, file) in _NO_OUTLINE for o in chain for word in synsets[o].words):
            return False
        if file in _BOXED_BELOW:
            return any(word in _BOXED_BELOW[file] for o in chain for word in synsets[o].words)
        return file in _BOXED

    def mostly_boxed(word: str, senses: list[tuple[int, str]]) -> bool:
        uses = {o: counts.get((word, number), 0) + (_UNSEEN if number > 1 else _FIRST) for number, o in senses}
        return sum(times for o, times in uses.items() if boxed(o)) >= _SHARE * sum(uses.values())

    names: dict[str, list[str]] = {offset: [] for offset in synsets}
    for word, offsets in index.items():
        numbered = [(number, offset) for number, offset in enumerate(offsets, 1) if offset in synsets]
        meant = default(word, numbered) if numbered else set()
        for number, offset in numbered:
            spaced = word.replace("_", " ")
            differs = number in meant and mostly_boxed(word, numbered) != boxed(offset)
            names[offset].append(f"{spaced}{'~' * differs}" if number in meant else f"{spaced}#{number}")
    # Depth first, so that a hypernym is a few lines above its kinds: the short distances halve the file.
    order: dict[str, None] = {}

    def place_after_hypernyms(offset: str) -> None:
        for u in synsets[offset].hypernyms:
            if u in synsets and u not in order:
                place_after_hypernyms(u)
        order[offset] = None

    for offset in sorted(synsets):
        if offset not in order:
            place_after_hypernyms(offset)
    place = {offset: i for i, offset in enumerate(order)}
    lines = []
    for i, offset in enumerate(order):
        up = [i - place[u] for u in linked(offset)]
        lines.append("~" * (not boxed(offset)) + " ".join(map(str, up)) + "\t" + ",".join(sorted(names[offset])))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="WordNet 3.0's folder, which holds data.noun")
    parser.add_argument("--target", type=Path, default=TARGET)
    args = parser.parse_args()
    text = table(args.folder)
    # No time stamp and no name in the header: the same input makes the same bytes.
    args.target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{args.target}: {text.count(chr(10))} synsets, {args.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
