"""Karpathy's splits (`dataset_coco.json`, `dataset_flickr30k.json`): images with sentences and the split of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundgraph.data.text import read_json
from groundgraph.errors import InputError

SPLITS = {"train": ("train", "restval"), "validation": ("val",), "test": ("test",)}


def read_karpathy(path: Path, split: str) -> Iterator[tuple[int, Any, Any]]:
    """The images of a split: (number from 1, file's name within the image folder, captions).

    Args:
        path: JSON with `images`, each with filename, split, sentences (raw), and in COCO's a filepath.
        split: train (with restval), validation or test.

    Raises:
        InputError: The file is no such JSON; names it.
    """
    content = read_json(path, "Karpathy's dataset_*.json", without="tokens")  # most of it, and nobody's need
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(i, dict) and "filename" in i for i in images):
        raise InputError(f'{path}: has no list "images" with a "filename" each; give Karpathy\'s dataset_*.json')
    for number, image in enumerate(images, 1):
        if image.get("split") in SPLITS[split]:
            sentences = image.get("sentences")
            raw = [s.get("raw") for s in sentences if isinstance(s, dict)] if isinstance(sentences, list) else None
            yield number, "/".join(filter(None, (image.get("filepath"), image["filename"]))), raw
