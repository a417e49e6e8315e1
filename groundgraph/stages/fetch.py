"""What of a recipe's needs may be fetched, and what has to be got by hand; how each is fetched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from groundgraph.data.fetching import fetch_file, partial_of
from groundgraph.data.published import PublishedFile, PublishedPart, catalogue, size_text
from groundgraph.data.sources.needs import Need
from groundgraph.data.unpacking import DamagedArchive, unpack, unpacked_size
from groundgraph.errors import InputError
from groundgraph.models.fetching import fetch_model, model_files
from groundgraph.models.hub import obstacles, torchvision_weights
from groundgraph.stages.preflight import ways

Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], Any]]]


class Download(Protocol):
    """Something to fetch.

    Attributes:
        name: Of the file or model.
        address: Where it comes from.
        size: How large it is, for a person.
        bytes: The same, where it is known.
        terms: Under which it may be used, where they are known here.
        places: Where it goes.
    """

    name: str
    address: str
    size: str
    bytes: int | None
    terms: str
    places: tuple[Path, ...]

    def fetch(self, bar: Bar) -> None:
        """Fetch it. Raises InputError where that cannot be; what is here stays, and the next call goes on with it."""


class PublishedDownload:
    """A file of published.yaml, and what a recipe needs of it."""

    def __init__(self, file: PublishedFile, parts: Sequence[PublishedPart]) -> None:
        self.file, self.parts = file, tuple(parts)
        self.name, self.address, self.terms = file.name, file.address, file.terms
        self.size, self.bytes = file.size, file.bytes
        self.places = tuple(part.place for part in parts)

    def fetch(self, bar: Bar) -> None:
        """Fetch the file, unpack the parts and delete it; one of its name that lies beside them is used, and stays."""
        first = self.parts[0].place
        if not self.parts[0].member:
            self._get(first, bar)
            return
        archive = first.parent / self.name
        if not archive.is_file() or self.bytes not in (None, archive.stat().st_size):
            archive = first.parent / f".{self.name}"  # ours, which goes when it is unpacked
            if not archive.is_file():
                self._get(archive, bar)
        for part in self.parts:
            self._unpack(archive, part, bar)
        if archive.name != self.name:
            archive.unlink()

    def _get(self, place: Path, bar: Bar) -> None:
        partial = partial_of(place)
        here = partial.stat().st_size if partial.is_file() else 0
        _require_room(place, (self.bytes or 0) - here, f"fetching {self.name}")
        with bar(f"fetching {self.name}", self.bytes) as advance:
            fetch_file(self.address, place, self.bytes, ("md5", self.file.md5) if self.file.md5 else None, advance)

    def _unpack(self, archive: Path, part: PublishedPart, bar: Bar) -> None:
        try:
            size = unpacked_size(archive, part.member)
            _require_room(part.place, size, f"unpacking {part.place.name}")
            with bar(f"unpacking {part.place.name}", size) as advance:
                unpack(archive, part.member, part.place, advance)
        except DamagedArchive as error:
            if archive.name == self.name:
                raise
            archive.unlink()
            raise InputError(f"{self.address}: {error}; it was deleted: run it again") from error


class ModelDownload:
    """A model of the Hugging Face hub."""

    bytes, terms = None, ""
    places: tuple[Path, ...] = ()

    def __init__(self, need: Need) -> None:
        self.name, self.size, self._need = need.source, need.size or "size unknown", need
        self.address = f"{need.source} of the Hugging Face hub"

    def fetch(self, bar: Bar) -> None:
        """Fetch what loading it takes into the hub's cache."""
        if why := obstacles([self.name]).get(self.name):
            raise InputError(f"{self.name}: {why}, {ways(self._need)}")
        files = model_files(self.name)
        with bar(f"fetching {self.name}", sum(file.bytes for file in files)) as advance:
            fetch_model(self.name, files, advance)


class TorchvisionDownload:
    """The weights of a network of torchvision, whose file's name ends in how its sum begins."""

    bytes, terms = None, ""

    def __init__(self, need: Need) -> None:
        self.address, place = torchvision_weights(need.place)
        self.name, self.size, self.places = place.name, need.size or "size unknown", (place,)

    def fetch(self, bar: Bar) -> None:
        """Fetch the file to where torchvision looks for it."""
        begins = re.search(r"-([0-9a-f]{8,})\.", self.name)
        with bar(f"fetching {self.name}", None) as advance:
            fetch_file(self.address, self.places[0], None, ("sha256", begins[1]) if begins else None, advance)


def plan(needs: Sequence[Need]) -> tuple[list[Download], list[Need]]:
    """What of the needs to fetch, a file once, and which of those that are not here have to be got by hand."""
    parts: dict[str, list[PublishedPart]] = {}
    models: dict[str, Download] = {}
    by_hand = []
    for need in needs:
        for part in need.parts:
            if not part.present:
                parts.setdefault(part.archive if part.member else str(part.place), []).append(part)
        if need.source and not need.present:
            models[need.source] = TorchvisionDownload(need) if "://" in need.source else ModelDownload(need)
        elif not need.parts and not need.present:
            by_hand.append(need)
    files: list[Download] = [PublishedDownload(catalogue()[own[0].archive], own) for own in parts.values()]
    return [*files, *models.values()], by_hand


def _require_room(place: Path, size: int, doing: str) -> None:
    """Raise InputError where a disk has not so many bytes left."""
    folder = next(folder for folder in place.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(f"{folder}: {doing} takes {size_text(size)}, and {size_text(free)} are free: make room")
