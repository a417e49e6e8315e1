"""The `data` part of a recipe for captions as data sets of captions are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from groundgraph.data.sources.data_part import DataPart, Names
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import KINDS
from groundgraph.formats.hugging_face import SPLITS, Files, split_files


class TableColumns(BaseModel):
    """The columns of a table; null: the usual names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str | None = Field(None, description="of the pictures: names of files, or the pictures themselves")
    caption: str | None = Field(None, description="of the captions")


class CaptionsData(DataPart):
    """Captions as they are stored: table (CSV, TSV, parquet, Arrow), webdataset (tars), karpathy (dataset_*.json).

    images    the folder of the pictures; null where the files have the pictures in them
    captions  files, or folders of them, such as a Hugging Face data set's, whose splits are taken
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
        """Karpathy's files say them, and so may a folder of tables; else all images are trained on."""
        if self.source == "karpathy":
            return ("train", "validation", "test")
        return tuple(split for split in SPLITS if split in self._by_split) or ("train",)

    @property
    def unread(self) -> tuple[str, ...]:
        """The splits of a folder of tables that none of ours is."""
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

    def _endings(self, folder: Path) -> tuple[str, ...]:
        """What the files of data in a folder end in."""
        if self.source != "table":
            return {"webdataset": (".tar", ".tar.gz", ".tgz"), "karpathy": (".json",)}[self.source]
        names = [path.name for path in folder.rglob("*")]
        return next((kind for kind in KINDS if any(name.endswith(kind) for name in names)), sum(KINDS, ()))

    def files(self, split: str | None = None) -> list[Path]:
        """The files of a split, None: of all; those of folders in order. Raises InputError where there is none."""
        if by_split := self._by_split:
            return by_split[split] if split else [file for own in self.splits for file in by_split[own]]
        files: list[Path] = []
        for name in self.captions:
            path = Path(name).expanduser()
            if path.is_dir():
                endings = self._endings(path)
                own = sorted(one for one in path.rglob("*") if one.name.endswith(endings) and one.is_file())
                if not own:
                    raise InputError(f"{name}: no file ends in {', '.join(endings)}; name it in data.captions")
                files += own
            else:
                files.append(path)
        return files
