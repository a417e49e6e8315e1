"""The `data` part of a recipe for captions as data sets of captions are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from groundgraph.data.sources.data_part import DataPart, Names
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import ENDINGS


class TableColumns(BaseModel):
    """The columns of a table; null: the usual names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str | None = Field(None, description="of the pictures: names of files, or the pictures themselves")
    caption: str | None = Field(None, description="of the captions")


class CaptionsData(DataPart):
    """Captions as they are stored: table (CSV, TSV, parquet, Arrow), webdataset (tars), karpathy (dataset_*.json).

    images    the folder of the pictures; null where the files have the pictures in them
    captions  files, or folders of them, such as a Hugging Face data set's
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
        """Karpathy's files say them; else all images are trained on."""
        return ("train", "validation", "test") if self.source == "karpathy" else ("train",)

    @property
    def data_set(self) -> str:
        """Which data these are, for a person."""
        return f"the captions in {', '.join(str(Path(name).expanduser().resolve()) for name in self.captions)}"

    def files(self) -> list[Path]:
        """The files, those of folders in order. Raises InputError where there is none."""
        endings = {"table": ENDINGS, "webdataset": (".tar", ".tar.gz", ".tgz"), "karpathy": (".json",)}[self.source]
        files: list[Path] = []
        for name in self.captions:
            path = Path(name).expanduser()
            if path.is_dir():
                files += sorted(one for one in path.rglob("*") if one.name.endswith(endings) and one.is_file())
            else:
                files.append(path)
        if not files:
            raise InputError(f"{self.captions[0]}: no file ends in {', '.join(endings)}; name it in data.captions")
        return files
