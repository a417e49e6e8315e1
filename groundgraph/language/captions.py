"""Captions from a command line's words, from files, from standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from groundgraph.data.text import parse_json, plain, read_text
from groundgraph.errors import InputError

KIND = "a text file with one caption a line, or JSON lines (.jsonl) with captions"
_OTHERS = (".json", ".csv", ".tsv", ".yaml", ".html", ".xml", ".pdf", ".docx", ".xlsx", ".png", ".jpg", ".jpeg")


def read_captions(words: Sequence[str]) -> list[str]:
    """Return the captions of the words on a command line, made `plain`; empty lines of files are left out.

    Args:
        words: Captions; names of files (see `KIND`), by what lies there; "-" for standard input, a caption a line.

    Raises:
        InputError: A file is none of these, a folder, or absent (what is named like one).
    """
    captions: list[str] = []
    for word in words:
        try:
            path = Path(word)
            is_file, is_folder = path.is_file(), path.is_dir() and bool(word)  # "" is the folder at work
        except (OSError, ValueError):  # longer than a name can be
            is_file = is_folder = False
        if word == "-":
            captions += _lines(_standard_input())
        elif is_folder:
            raise InputError(f"{path.absolute()}: a folder; give captions, or {KIND}")
        elif not is_file and _like_a_name(word):
            raise InputError(f"{path.absolute()}: no such file; give captions, or {KIND}")
        elif not is_file:
            captions.append(plain(word))
        elif path.suffix.lower() == ".jsonl":
            captions += _json_lines(path)
        elif path.suffix.lower() in _OTHERS:
            raise InputError(f"{path}: {path.suffix} is not read for captions; give {KIND}")
        else:
            captions += _lines(read_text(path, KIND))
    if not captions:
        raise InputError(f"{', '.join(words)}: no caption there; give {KIND}")
    return captions


def _like_a_name(word: str) -> bool:
    suffix = Path(word).suffix.lower()
    return len(word.split()) == 1 and suffix in (*_OTHERS, ".jsonl", ".txt", ".text", ".md")


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: not text in UTF-8 ({error.reason} at byte {error.start:,})") from error


def _lines(text: str) -> list[str]:
    return [caption for line in text.split("\n") if (caption := plain(line))]


def _json_lines(path: Path) -> list[str]:
    """The captions of an own data set's lines; those of triplets have none."""
    captions = []
    for number, line in enumerate(read_text(path, KIND).split("\n"), 1):
        if line.strip():
            entry = parse_json(line, path, "write one object a line", number)
            texts = entry.get("captions", []) if isinstance(entry, dict) else None
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise InputError(f'{path}, line {number}: write {{"image": NAME, "captions": [TEXT, ...]}}')
            captions += [plain(text) for text in texts]
    return captions
