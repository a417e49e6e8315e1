"""What a recipe has to find on disk: the files, where they come from, how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from groundgraph.data.published import PublishedPart


@dataclass(frozen=True)
class Need:
    """A file or folder.

    what   in a word or two; place: where it must be
    origin where to get it; size: of the published file, as text
    key    of a recipe, where another one is named
    source what it is fetched from at its first use: an id of the Hugging Face hub, or an address; empty: not by itself
    there  whether it is here, where that takes more than looking at `place`
    parts  of published files that `groundgraph data fetch` makes it of; empty: it has to be got by hand
    """

    what: str
    place: str
    origin: str = ""
    size: str = ""
    key: str = ""
    source: str = ""
    there: bool | None = None
    parts: tuple[PublishedPart, ...] = ()

    @property
    def present(self) -> bool:
        """Whether it is here."""
        if self.there is not None:
            return self.there
        path = Path(self.place).expanduser()
        return path.is_file() or (path.is_dir() and any(path.iterdir()))
