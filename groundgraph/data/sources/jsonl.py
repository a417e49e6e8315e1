"""JSON lines: an image with its captions or its unlocalized triplets on each line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from reprlib import repr  # of a value that is long or nested deep, its beginning
from typing import Any

from groundgraph.data.images import ImageError, locate
from groundgraph.data.sources.coco_truth import add_truth
from groundgraph.data.text import parse_json, plain, read_text
from groundgraph.data.types import Example, Skipped
from groundgraph.errors import InputError

Words = tuple[str, str, str]
KEYS = ("image", "captions", "caption", "triplets")
MOST_KEYS = 8  # named of those that are not read


def read_jsonl(
    lines: str | Path, images: str | Path, skipped: Skipped, instances: str | Path | None = None
) -> list[Example]:
    r"""The examples of a JSONL file, in the order their images first occur.

    An image's id is its path in the folder (`./a\1.jpg` is a/1.jpg).

    Args:
        lines: {"image": NAME, "captions": [TEXT, ...]}, {"image": NAME, "caption": TEXT} or {"image": NAME, "triplets":
            [[SUBJECT, PREDICATE, OBJECT], ...]}; several lines of one image are joined.
        images: The folder that NAME is relative to.
        skipped: Gets what is left out: images that are missing, outside the folder or without a caption or triplet;
            captions that are empty or no text; triplets that are not three words or phrases; other keys, in one entry.
        instances: COCO JSON whose file_name is NAME, see `coco_truth.add_truth`.

    Raises:
        InputError: Anything else; names file, line and fix.
    """
    captions: dict[str, list[str]] = {}
    triplets: dict[str, list[Words]] = {}
    others: Counter[str] = Counter()  # key -> lines
    for number, entry in read_rows(lines):
        where, name = f"{lines}, line {number}", entry["image"]
        others.update(entry.keys() - KEYS)
        captions.setdefault(name, []).extend(_captions(entry, name, where, skipped))
        triplets.setdefault(name, []).extend(_triplets(entry, name, where, skipped))
    if others:
        keys = ", ".join(f"`{plain(key)}` in {count} lines" for key, count in others.most_common(MOST_KEYS))
        skipped.add(str(lines), f"keys that are not read: {keys}; read are {', '.join(f'`{key}`' for key in KEYS)}")
    by_path: dict[Path, tuple[list[str], list[Words]]] = {}
    for name in captions:
        try:
            path = locate(images, name)
        except ImageError as error:
            skipped.add(name, str(error))
            continue
        if captions[name] or triplets[name]:
            texts, related = by_path.setdefault(path, ([], []))
            texts += captions[name]
            related += triplets[name]
        else:
            skipped.add(name, f"listed without a caption or triplet in {lines}")
    examples = []
    for path, (texts, related) in by_path.items():
        name = path.relative_to(images).as_posix()
        examples.append((name, Example(plain(name), str(path), tuple(texts), tuple(related))))
    if instances is None:
        return [example for _, example in examples]
    return add_truth(examples, instances, skipped, ids=False)


def read_rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """(line number from 1, entry with an image's name) of each line, empty ones left out.

    Raises:
        InputError: Anything else; names file and line.
    """
    entries = []
    for number, row in enumerate(read_text(path, "JSON lines of images and captions").split("\n"), 1):
        if not row.strip():
            continue
        entry = parse_json(row, path, "write one object a line", number)
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise InputError(f'{path}, line {number}: has no "image"; write {{"image": NAME, "captions": [TEXT, ...]}}')
        entries.append((number, entry))
    return entries


def _listed(entry: dict[str, Any], key: str, where: str) -> list[Any]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise InputError(f"{where}: `{key}` must be a list in square brackets")
    return value


def _captions(entry: dict[str, Any], name: str, where: str, skipped: Skipped) -> list[str]:
    kept = []
    alone = [entry["caption"]] if "caption" in entry else []
    for value in _listed(entry, "captions", where) + alone:
        if not isinstance(value, str):
            skipped.add(name, f"{where}: a caption must be text in quotes, not {repr(value)}")
        elif text := plain(value):
            kept.append(text)
        else:
            skipped.add(name, f"{where}: an empty caption")
    return kept


def _triplets(entry: dict[str, Any], name: str, where: str, skipped: Skipped) -> list[Words]:
    kept = []
    for value in _listed(entry, "triplets", where):
        words = [plain(w) for w in value if isinstance(w, str)] if isinstance(value, list) else []
        if len(words) == 3 and len(value) == 3 and all(words):
            kept.append((words[0], words[1], words[2]))
        else:
            skipped.add(name, f"{where}: {repr(value)} is not [subject, predicate, object]")
    return kept
