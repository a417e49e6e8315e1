"""What a run leaves out and why, written down as it happens, so that a broken-off stage's next attempt knows it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from groundgraph.data.skipped import Skipped


class SkipLog(Skipped):
    """What was skipped; of the stage at work, also in files of its scratch folder.

    Args:
        suffix: Tells apart the files of the processes that do one stage.
    """

    def __init__(self, suffix: str = "") -> None:
        super().__init__()
        self.suffix = suffix
        self.scratch = Path()
        self._kept = 0  # how many items are on the disk

    def begin(self, scratch: Path) -> None:
        """Turn to a stage, and add what earlier attempts at it skipped."""
        self.scratch = scratch
        self.collect()

    def collect(self) -> None:
        """Add what was written down of the stage at work, by this process or others."""
        for path in sorted(self.scratch.glob("skipped*.jsonl")):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):  # a line that was being written
                    what, why = json.loads(line)
                    self.items.append((what, why))
        self._kept = len(self.items)

    def keep(self) -> None:
        """Write down what is new since the last call."""
        write_skipped(self.scratch, self.items[self._kept :], self.suffix)
        self._kept = len(self.items)


def write_skipped(scratch: Path, items: Iterable[Sequence[str]], suffix: str = "") -> None:
    """Add items to a file of a stage's scratch folder; they are on the disk when this ends."""
    items = list(items)
    if items:
        scratch.mkdir(exist_ok=True)
        with (scratch / f"skipped{suffix}.jsonl").open("a", encoding="utf-8") as file:
            # What was cut off in the middle of a line stays a line of its own.
            file.writelines("\n" + json.dumps(item) for item in items)
            file.flush()
            os.fsync(file.fileno())
