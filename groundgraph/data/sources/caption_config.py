"""The `data` part of a recipe for captions as data sets of captions are stored."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from groundgraph.data.sources.data_part import DataPart, Names
from groundgraph.data.sources.shards import shard_paths
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import KINDS, ROW_SPLITS, row_splits
from groundgraph.formats.hugging_face import SPLITS, Files, split_files


class TableColumns(BaseModel):
    """The columns of a table; null: the usual names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str | None = Field(None, description="of the pictures: names of files, or the pictures themselves")
    caption: str | None = Field(None, description="of the captions")


class CaptionsData(DataPart):
    """Captions as they are stored: table (CSV, TSV, JSON, parquet, ...), webdataset (tars), karpathy (dataset_*.json).

    images    the folder of the pictures; null where the files have the pictures in them, or beside them
    captions  files, or folders of them, such as a Hugging Face data set's, whose splits are taken; patterns of files
    columns   of tables
    train     the first so many images only, null: all
    """

    source: Literal["table", "webdataset", "karpathy"]
    images: str | None = None
    captions: Names
    columns: TableColumns = TableColumns()
    train: int | None = Field(None, ge=1)

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Karpathy's files say them, so may a folder of tables and rows; else all images are trained on."""
        if self.source == "karpathy":
            return ("train", "validation", "test")
        if self.split_by_row:
            return self._splits_of_rows
        return tuple(split for split in SPLITS if split in self._by_split) or ("train",)

    @property
    def split_by_row(self) -> bool:
        """Whether a table's own column says of which split each row is: its files do not, and training is not all."""
        return "train" in self._splits_of_rows and len(self._splits_of_rows) > 1

    @property
    def _splits_of_rows(self) -> tuple[str, ...]:
        """Which of our splits rows say they are of."""
        return tuple(split for split, names in ROW_SPLITS.items() if self._row_splits.intersection(names))

    @property
    def unread(self) -> tuple[str, ...]:
        """The splits of tables that none of ours is."""
        if self.split_by_row:
            return tuple(sorted(self._row_splits.difference(*ROW_SPLITS.values())))
        return tuple(split for split in self._by_split if split not in SPLITS)

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"the captions in {', '.join(str(Path(name).expanduser().resolve()) for name in self.captions)}"

    @property
    def _by_split(self) -> Files:
        """The files of the splits of one folder of tables; empty where there is none."""
        folder = Path(self.captions[0]).expanduser()
        alone = self.source == "table" and len(self.captions) == 1 and folder.is_dir()
        return split_files(folder, self._endings(folder)) if alone else {}

    @property
    def _row_splits(self) -> frozenset[str]:
        """What the rows of tables say of their splits; nothing where the files do."""
        if self.source != "table" or len(self._by_split) > 1:
            return frozenset()
        try:
            files = [(path, path.stat()) for path in self._listed()]
            return _row_splits(tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in files))
        except (InputError, OSError):  # said when the files are read
            return frozenset()

    def _endings(self, folder: Path) -> tuple[str, ...]:
        """What the files of data in a folder end in."""
        if self.source != "table":
            return {"webdataset": (".tar", ".tar.gz", ".tgz"), "karpathy": (".json",)}[self.source]
        names = [path.name for path in folder.rglob("*")]
        return next((kind for kind in KINDS if any(name.endswith(kind) for name in names)), sum(KINDS, ()))

    def files(self, split: str | None = None) -> list[Path]:
        """The files of a split, None: of all; those of folders in order. Raises InputError where there is none."""
        by_split = self._by_split
        if len(by_split) > 1:
            return by_split[split] if split else [file for own in self.splits for file in by_split[own]]
        return self._listed()

    def _listed(self) -> list[Path]:
        """All files that are named, where they are of no splits."""
        if by_split := self._by_split:
            return [file for own in by_split.values() for file in own]
        files: list[Path] = []
        for path in (path for name in self.captions for path in shard_paths(name)):
            if path.is_dir():
                endings = self._endings(path)
                own = sorted(one for one in path.rglob("*") if one.name.endswith(endings) and one.is_file())
                if not own:
                    raise InputError(f"{path}: no file ends in {', '.join(endings)}; name it in data.captions")
                files += own
            else:
                files.append(path)
        return files

    def folder_of(self, folder: Path) -> str:
        """What a file's folder is called within that which `captions` names; "": it is that, or files are named."""
        folders = [Path(name).expanduser() for name in self.captions]
        inner = next((folder.relative_to(one) for one in folders if folder.is_relative_to(one)), Path())
        return "" if inner == Path() else inner.as_posix()


@lru_cache(16)
def _row_splits(files: tuple[tuple[str, int, int], ...]) -> frozenset[str]:
    """Of files with their sizes and times, since tables of millions of rows are read for it."""
    names: set[str] = set()
    for path, _, _ in files:
        own = row_splits(Path(path))
        if not own:
            break
        names |= own
    return frozenset(names)
