"""Folders of the `datasets` library: which of their files are which split, as the library itself reads them.

A DatasetDict that `save_to_disk` wrote (dataset_dict.json, a folder a split), one Dataset of it (state.json), a
repository of the hub (README.md with `configs`, data/train-00000-of-00002.parquet), and any folder whose folders or
files are named for splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from groundgraph.data.text import read_json, read_text
from groundgraph.errors import InputError

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}  # ours -> what files and folders of it may be called
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")
_APART = r"[-._ 0-9]"  # what may stand before and after a split's name
_NAMED = {ours: re.compile(rf"(?:.*{_APART})?(?:{'|'.join(names)})(?:{_APART}.*)?") for ours, names in SPLITS.items()}
Files = dict[str, list[Path]]


def split_files(folder: Path, endings: Sequence[str]) -> Files:
    """The files of each split of a folder: train first, then validation, then test, then others by their own names.

    A folder that says nothing of splits, or has a single one, is one to train on.

    Args:
        folder: One as above.
        endings: What files of data end in.

    Raises:
        InputError: It has several splits and none is to train on, or its README.md has several configurations and
            none is the default; the message lists them.
    """
    files_of = _saved(folder) or _told(folder, endings) or _sharded(folder, endings) or _named(folder, endings)
    files_of = {split: files for split, files in files_of.items() if files}
    if len(files_of) == 1:
        return {"train": next(iter(files_of.values()))}
    splits = {ours: files_of[name] for ours, names in SPLITS.items() for name in names if name in files_of}
    if files_of and "train" not in splits:
        raise InputError(
            f"{folder}: has no split to train on; there are {', '.join(files_of)}: "
            "name the files of one as data.captions"
        )
    known = {name for names in SPLITS.values() for name in names}
    return splits | {split: files for split, files in files_of.items() if split not in known}


def _saved(folder: Path) -> Files:
    """What `save_to_disk` wrote; caches that lie beside it (cache-....arrow) are no part of it."""
    if (folder / "dataset_dict.json").is_file():
        content = read_json(folder / "dataset_dict.json", "dataset_dict.json of a saved DatasetDict")
        names = content.get("splits") if isinstance(content, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise InputError(f"{folder / 'dataset_dict.json'}: has no list `splits`; save the data set again")
        return {name: _of_state(folder / name) for name in names}
    return {"train": _of_state(folder)} if (folder / "state.json").is_file() else {}


def _of_state(folder: Path) -> list[Path]:
    """The files that a saved Dataset's state.json lists."""
    content = read_json(folder / "state.json", "state.json of a saved Dataset")
    listed = content.get("_data_files") if isinstance(content, dict) else None
    if listed is None:  # as others write it
        return sorted(folder.glob("data-*.arrow"))
    entries = listed if isinstance(listed, list) else [None]
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise InputError(f"{folder / 'state.json'}: `_data_files` has entries without a file's name; save it again")
    return [folder / str(name) for name in names]


def _told(folder: Path, endings: Sequence[str]) -> Files:
    """What the `configs` of README.md say."""
    if not (folder / "README.md").is_file():
        return {}
    text = read_text(folder / "README.md", "the data set's card")
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        card = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as error:
        raise InputError(f"{folder / 'README.md'}: its head is not YAML ({error}); mend it or take it away") from error
    configs = card.get("configs") if isinstance(card, dict) else None
    configs = [c for c in configs if isinstance(c, dict) and c.get("data_files")] if isinstance(configs, list) else []
    default = [c for c in configs if c.get("default") is True or c.get("config_name") == "default"] or configs
    if len(default) > 1:
        names = ", ".join(str(c.get("config_name")) for c in default)
        raise InputError(f"{folder}: its README.md has several configurations, {names}; name the files of one")
    return _patterns(folder, default[0]["data_files"], endings) if default else {}


def _patterns(folder: Path, told: Any, endings: Sequence[str]) -> Files:
    entries = told if isinstance(told, list) else [told]
    files_of: Files = {}
    for entry in entries:
        split, paths = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        for pattern in paths if isinstance(paths, list) else [paths]:
            try:
                if ".." in Path(pattern).parts:
                    raise ValueError("leads elsewhere")
                files_of.setdefault(str(split), []).extend(_data(folder.glob(pattern), endings))
            except (TypeError, ValueError, NotImplementedError, IndexError) as error:  # `glob` raises any of them
                text = f"{folder / 'README.md'}: data_files has {pattern!r}, no file in this folder ({error}); mend it"
                raise InputError(text) from error
    return files_of


def _sharded(folder: Path, endings: Sequence[str]) -> Files:
    files_of: Files = {}
    for path in _data((folder / "data").glob("*"), endings):
        if match := _SHARD.match(path.name):
            files_of.setdefault(match[1], []).append(path)
    return files_of


def _named(folder: Path, endings: Sequence[str]) -> Files:
    """By folders' names, else by files', else all of them to train on."""
    paths = _data(folder.rglob("*"), endings)
    ways: tuple[Callable[[Path], Sequence[str]], ...] = (
        lambda path: path.relative_to(folder).parts[:-1],
        lambda path: (path.name,),
    )
    for parts in ways:
        files_of = {
            split: [path for path in paths if any(map(named.fullmatch, parts(path)))] for split, named in _NAMED.items()
        }
        if any(files_of.values()):
            return files_of
    return {"train": paths}


def _data(paths: Any, endings: Sequence[str]) -> list[Path]:
    return sorted(path for path in paths if path.name.endswith(tuple(endings)) and path.is_file())
