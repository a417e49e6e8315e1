"""Lists of names with their places: categories and predicates of data sets and detectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from groundgraph.data.text import read_json, read_text
from groundgraph.errors import InputError

Vocabularies = tuple[tuple[str, ...], tuple[str, ...]]  # categories, predicates; name k is label k + 1


@dataclass(frozen=True)
class Vocabulary:
    """Names by number, 0-based and without a background. Raises InputError for a name that occurs twice or is empty."""

    names: tuple[str, ...]
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(self.names)
        places = {name: i for i, name in enumerate(names)}
        if len(places) < len(names) or "" in places:
            wrong = sorted({name for name in names if names.count(name) > 1 or not name})
            raise InputError(f"vocabulary with double or empty names: {wrong}; give every name once")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Place of a name exactly as it is listed, -1 if it isn't."""
        return self._places.get(name, -1)

    @classmethod
    def from_file(cls, path: str | Path) -> Vocabulary:
        """Reads one name a line (blank lines and a leading background are left out), or a JSON list of names.

        Raises:
            InputError: It is neither or a name occurs twice; names the file.
        """
        path = Path(path)
        kind = "one name a line, or a JSON list of names"
        if path.suffix == ".json":
            names = read_json(path, kind)
        else:
            names = [line.strip() for line in read_text(path, kind).splitlines()]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: not a JSON list of names")
        names = [name for name in names if name]
        if names and names[0] in ("__background__", "background"):
            names = names[1:]
        try:
            return cls(tuple(names))
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error


def _bundled(name: str) -> Vocabulary:
    with resources.as_file(resources.files("groundgraph.data") / f"{name}.txt") as path:
        return Vocabulary.from_file(path)


VG150_OBJECTS = _bundled("vg150_objects")
VG150_PREDICATES = _bundled("vg150_predicates")
OPENIMAGES601 = _bundled("openimages601")
COCO80 = _bundled("coco80")
OBJECTS365 = _bundled("objects365")
VRD_OBJECTS = _bundled("vrd_objects")
VRD_PREDICATES = _bundled("vrd_predicates")
