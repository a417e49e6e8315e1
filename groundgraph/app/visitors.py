"""Whoever is looking at the page: what was found for them, and which files are theirs, until they leave."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from groundgraph.app.finding import Finding

MOST = 200  # visitors remembered; of more, those that asked longest ago are taken to have left


@dataclass
class Visitor:
    """One page that is open.

    Attributes:
        finding: What it shows; None: nothing.
        files: Use -> the files for it.
    """

    finding: Finding | None = None
    files: dict[str, set[Path]] = field(default_factory=dict)


class Visitors:
    """Everybody who is here, by the server's name for them.

    The server stores equal files once, so that one may be several visitors': it goes with the last of them.

    Args:
        folder: Files elsewhere are nobody's, and stay.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder.resolve(), Lock()
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()

    def finding(self, name: str) -> Finding | None:
        """What a visitor sees."""
        return self._visitors.get(name, Visitor()).finding

    def show(self, name: str, finding: Finding) -> None:
        """A visitor who is still here sees this from now on."""
        with self._lock:
            if name in self._visitors:
                self._visitors[name].finding = finding

    def bring(self, name: str, photo: Path | None) -> None:
        """A visitor has this photo from now on and sees nothing yet; what there was of another one is deleted."""
        with self._lock:
            visitor = self._visitors.setdefault(name, Visitor())
            self._visitors.move_to_end(name)
            visitor.finding = None
            self._keep(visitor, "photo", [] if photo is None else [photo])
            self._keep(visitor, "downloads", [])
            while len(self._visitors) > MOST:
                self._forget(self._visitors.popitem(last=False)[1])

    def offer(self, name: str, finding: Finding, files: Iterable[Path]) -> bool:
        """A visitor has these files of what is shown, in the place of earlier ones; gives whether it still is."""
        with self._lock:
            visitor = self._visitors.get(name, Visitor())
            if visitor.finding is finding:
                self._keep(visitor, "downloads", files)
                return True
            self._keep(stranger := Visitor(), "downloads", files)
            self._forget(stranger)
            return False

    def leave(self, name: str) -> None:
        """Forget a visitor, and delete the files."""
        with self._lock:
            self._forget(self._visitors.pop(name, Visitor()))

    def _keep(self, visitor: Visitor, use: str, files: Iterable[Path]) -> None:
        before = visitor.files.get(use, set())
        visitor.files[use] = {path for path in map(Path.resolve, files) if path.is_relative_to(self.folder)}
        self._delete(before)

    def _forget(self, visitor: Visitor) -> None:
        for files in visitor.files.values():
            self._delete(files)

    def _delete(self, files: Iterable[Path]) -> None:
        """Delete the files that nobody has any more."""
        needed = {path for visitor in self._visitors.values() for own in visitor.files.values() for path in own}
        for path in files:
            if path not in needed:
                path.unlink(missing_ok=True)
                try:
                    path.parent.rmdir()
                except OSError:  # it holds another file
                    continue
