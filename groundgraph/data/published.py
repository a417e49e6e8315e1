"""What of published data sets may be fetched: the files of published.yaml, and what lies in which of them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict


class PublishedFile(BaseModel):
    """A file on a server.

    Attributes:
        address: Where it is fetched from.
        bytes: Its size; None: what the server says.
        md5: Its sum; None: none is known.
        about: Its size for a person, where `bytes` is None.
        terms: Under which it may be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    bytes: int | None = None
    md5: str | None = None
    about: str = ""
    terms: str

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.address.rpartition("/")[2]

    @property
    def size(self) -> str:
        """How large it is, for a person."""
        return self.about if self.bytes is None else size_text(self.bytes)


class PublishedPart(BaseModel):
    """A file or folder that a published file has in it.

    Attributes:
        archive: The published file's name in published.yaml.
        member: Its path in there, or the end of it; "": it is the file itself.
        place: Where it belongs.
    """

    model_config = ConfigDict(frozen=True)

    archive: str
    member: str
    place: Path

    @property
    def present(self) -> bool:
        """Whether it is here: a file, or a folder with something in it."""
        return self.place.is_file() or (self.place.is_dir() and any(self.place.iterdir()))


@cache
def catalogue() -> dict[str, PublishedFile]:
    """Name -> file, of all that may be fetched."""
    text = (resources.files("groundgraph.data") / "published.yaml").read_text(encoding="utf-8")
    return {name: PublishedFile(**entry) for name, entry in yaml.safe_load(text).items()}


def coco_part(place: Path) -> tuple[PublishedPart, ...]:
    """What of COCO lies at a path, by its name: train2017, captions_val2014.json; nothing where it is another."""
    stem = place.stem if place.suffix == ".json" else place.name
    kind, _, split = stem.rpartition("_")
    if split not in ("train2014", "val2014", "train2017", "val2017") or kind not in ("", "captions", "instances"):
        return ()
    if kind:
        return (
            PublishedPart(archive=f"coco-annotations{split[-4:]}", member=f"annotations/{place.name}", place=place),
        )
    return (PublishedPart(archive=f"coco-{split}", member=split, place=place),)


def size_text(count: int) -> str:
    """A number of bytes for a person: "19.3 GB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
