"""What a recipe has to find on disk: the files, where they come from, how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """A file or folder.

    what   in a word or two; place: where it must be
    origin where to get it; size: of the published file, as text
    hub    a model of the Hugging Face hub, which is fetched at its first use; `place` is then its id
    there  whether it is here, where that takes more than looking at `place`
    """

    what: str
    place: str
    origin: str = ""
    size: str = ""
    hub: bool = False
    there: bool | None = None

    @property
    def present(self) -> bool:
        """Whether it is here. A hub id is if the hub's cache holds it."""
        if self.there is not None:
            return self.there
        if self.hub:
            from huggingface_hub import try_to_load_from_cache

            return isinstance(try_to_load_from_cache(self.place, "config.json"), str)
        path = Path(self.place).expanduser()
        return path.is_file() or (path.is_dir() and any(path.iterdir()))
