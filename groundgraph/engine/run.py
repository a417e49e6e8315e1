"""What a stage's work is given: the recipe, where artifacts lie, and who else takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from groundgraph.engine.folder import record_of, scratch_of
from groundgraph.engine.progress import Advance, Bars
from groundgraph.engine.record import SCRATCH, Record
from groundgraph.engine.skips import SkipLog
from groundgraph.terminal import Console
from groundgraph.training.processes import ALONE, Ranks


class Executor(Protocol):
    """Computes what is known of every image by itself."""

    def __call__(self, run: Run, folder: Path, extraction: Any, images: Mapping[str, Sequence[str]]) -> int:
        """See `extraction.extract`."""
        ...

    def rest(self) -> None:
        """Give back the memory that is held for the next call."""
        ...


@dataclass
class Run:
    """A recipe and the folder where its artifacts lie; `execute` runs its stages.

    Attributes:
        recipe: The configuration; the engine asks it for what `folder.Config` has, and where models run.
        folder: Holds a folder a stage.
        console: Where progress is shown.
        seconds: What each stage took that was executed or found done.
        cache: What readers of artifacts keep; the first of a key's parts is the stage that wrote them.
        processes: Under torchrun those that run it together; this one alone.
        executor: Who extracts what is known of every image by itself; None: this process.
        suffix: Of a process that extracts for another's run: it tells apart what they write beside the stores.
        skipped: What was left out, and why.
        jobs: How many processes of one thread each do its stages side by side; 1: this one alone.
        bars: Of its progress.
        work: The folder of the stage at work.
        waited: Seconds that the stage at work waited for a process of its own.
    """

    recipe: Any
    folder: Path
    console: Console = field(default_factory=Console)
    seconds: dict[str, float] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict)
    processes: Ranks = ALONE
    executor: Executor | None = None
    suffix: str = ""
    jobs: int = 1
    skipped: SkipLog = field(init=False)
    bars: Bars = field(init=False, default_factory=Bars)
    work: Path | None = field(init=False, default=None)
    waited: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.skipped = SkipLog(self.suffix)

    @property
    def device(self) -> torch.device:
        """Where this process's models run: under torchrun a GPU of its own, else what the recipe asks for."""
        return self.processes.place(self.recipe.device)

    @property
    def placement(self) -> dict[str, Any]:
        """What every model is told: its device, and its precision there."""
        return {"device": self.device, "precision": self.recipe.precision}

    def record(self, stage: str) -> Record | None:
        """What a finished stage says of itself (fingerprint, seconds, counts, skipped, files), or None."""
        return record_of(self.folder, stage)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """A progress bar while a block runs; call what it gives with how many more are done.

        That is also where a signal ends the run, so call it when what is done can be written down.
        """
        return self.bars.bar(label, total)

    def scratch(self) -> Path:
        """A folder of the stage at work for what is not part of its result, such as a training's checkpoint.

        Like all that a stage writes it outlives a broken-off attempt; it is deleted when the stage is done.
        """
        if self.work is None:
            raise RuntimeError("no stage is at work")
        return scratch_of(self.work)

    def assist(self, work: Path) -> None:
        """Take part in a stage that another process performs in the folder `work`."""
        self.work = work
        self.skipped.scratch = work / SCRATCH
