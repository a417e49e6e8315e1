"""Flickr30k Entities (Plummer et al., ICCV 2015): captions whose phrases have boxes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.text import plain, read_text
from groundgraph.data.types import Mention, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages

_PHRASE = re.compile(r"\[/EN#(\d+)((?:/[\w-]+)+) ([^\]]*)\]")
Phrase = tuple[str, str, int, int]  # its chain's number, its kind, its characters in the caption


def read_flickr30k(listing: Path, folder: Path, skipped: Skipped) -> BoxedImages:
    """The images of a split with their captions, boxes, and which boxes each phrase means.

    A box's label is its chain's kind (people, clothing ...). Phrases without a box (scenes, what is not visible) mean
    none. The files count pixels from 1, the data set's own flickr30k_entities_utils.py and this function from 0.

    Args:
        listing: train.txt, val.txt or test.txt: an image's number a line.
        folder: With Sentences/NUMBER.txt and Annotations/NUMBER.xml.
        skipped: Gets images whose files are missing or damaged.

    Raises:
        InputError: The listing is missing.
    """
    images = []
    for name in read_text(listing, "a split of Flickr30k Entities").split():
        try:
            sentences = read_text(folder / "Sentences" / f"{name}.txt", "captions of Flickr30k Entities")
            captions = [parse_caption(line) for line in sentences.splitlines() if line.strip()]
            images.append(_image(name, folder / "Annotations" / f"{name}.xml", captions))
        except InputError as error:
            skipped.add(name, str(error))
    return BoxedImages(images)


def parse_caption(line: str) -> tuple[str, list[Phrase]]:
    """A caption without its marks, and its phrases: "[/EN#1/people A man] rides" is "A man rides"."""
    text, phrases, end = "", [], 0
    line = plain(line)
    for match in _PHRASE.finditer(line):
        text += line[end : match.start()]
        phrases.append((match[1], match[2].split("/")[1], len(text), len(text) + len(match[3])))
        text += match[3]
        end = match.end()
    return text + line[end:], phrases


def _image(name: str, path: Path, captions: list[tuple[str, list[Phrase]]]) -> BoxedImage:
    content = read_text(path, "boxes of Flickr30k Entities")
    if "<!ENTITY" in content:
        raise InputError(f"{path}: declares entities, which no annotation needs")
    try:
        root = ElementTree.fromstring(content)
        frame = float(root.findtext("size/width", "")), float(root.findtext("size/height", ""))
        boxes, chains = [], []
        for thing in root.iter("object"):
            for box in thing.iter("bndbox"):
                boxes.append([float(box.findtext(side, "")) - 1 for side in ("xmin", "ymin", "xmax", "ymax")])
                chains.append({entry.text for entry in thing.iter("name")})
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not Flickr30k's annotation ({error}); fetch it again") from error
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    good = sound(corners)
    chains = [own for own, fits in zip(chains, good, strict=True) if fits]
    kinds = {chain: kind for _, phrases in captions for chain, kind, _, _ in phrases}
    labels = tuple(next((kinds[c] for c in sorted(filter(None, own)) if c in kinds), "other") for own in chains)
    mentions = tuple(
        Mention(number, (start, end), meant)
        for number, (_, phrases) in enumerate(captions)
        for chain, _, start, end in phrases
        if (meant := tuple(row for row, own in enumerate(chains) if chain in own))
    )
    return BoxedImage(
        name, f"{name}.jpg", frame, corners[good], labels, (), tuple(text for text, _ in captions), mentions
    )
