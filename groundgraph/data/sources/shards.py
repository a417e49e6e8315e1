"""Files named by a pattern, as shards are: `{00000..00099}.tar` after WebDataset, or `*.tar`."""

from __future__ import annotations

import glob
import re
from pathlib import Path

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{},]*(?:,[^{},]*)+))\}")
_MOST = 1_000_000  # files of a range: a slip of the hand, beyond it


def shard_paths(name: str) -> list[Path]:
    """The files that a name means, in order: that of a file or folder which is there, else what its pattern says.

    Braces say which files there have to be, `*`, `?` and `[...]` which of those that are there; without either, and
    where there is none, the name itself.
    """
    path = Path(name).expanduser()
    if path.exists():
        return [path]
    names = _braces(str(path))
    listed = [one for own in names for one in (sorted(glob.glob(own, recursive=True)) or [own])]
    return [Path(one) for one in listed]


def _braces(name: str) -> list[str]:
    """A name without its braces, for each thing that they may stand for: `{08..10}` is 08, 09, 10."""
    match = _BRACES.search(name)
    if match is None or (match[1] and int(match[2]) - int(match[1]) >= _MOST):
        return [name]
    if match[1]:
        inner = [str(number).zfill(len(match[1])) for number in range(int(match[1]), int(match[2]) + 1)]
    else:
        inner = match[3].split(",")
    return [one for text in inner for one in _braces(name[: match.start()] + text + name[match.end() :])]
