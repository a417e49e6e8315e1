"""What a run's stages will do and take, said before it starts: they are tried on a few images.

Seconds: of an image in the try, times the images that a stage works on (a training's count once an epoch). What a stage
takes once, such as loading a model, counts with every image: so a short try says too much. A first try on fewer images
comes before, since it pays for what a process does once, such as importing libraries. Memory: of the try. Disk: of an
image in the try, times the run's images; a file that hardly grows from try to try, such as a model's, counts once.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from groundgraph.engine.execute import execute
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.folder import record_of
from groundgraph.engine.record import SCRATCH
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.system import peak_memory
from groundgraph.terminal import Console

FEW, MANY = 4, 100  # images of the largest split in the first try, and at most in the second
BUDGET = 120.0  # seconds that the second try may take, by the first; less in truth, since nothing is imported again


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will do or has done. None: unknown.

    Attributes:
        stage: Its name.
        done: Whether it is done and unchanged.
        what: What it does, in words.
        images: How many it works on.
        seconds: Of one process.
        memory: The process's peak, in bytes.
        disk: The size of its files, in bytes.
    """

    stage: str
    done: bool
    what: str = ""
    images: int = 0
    seconds: float | None = None
    memory: float | None = None
    disk: float | None = None


@dataclass(frozen=True)
class Usage:
    """What a stage took in a try: seconds; memory, the peak in bytes; its files' sizes in bytes, by their paths."""

    seconds: float
    memory: int
    files: dict[str, int]


@dataclass
class Try:
    """Stages on a few images.

    Attributes:
        recipe: For so few images.
        stages: Its stages.
        images: How many, a split.
        usage: What each stage took.
        failed: Why it ended early; "" where it did not.
    """

    recipe: Any
    stages: Sequence[Stage]
    images: Mapping[str, int]
    usage: dict[str, Usage] = field(default_factory=dict)
    failed: str = ""

    def perform(self, due: set[str], folder: Path) -> None:
        """Run the stages of these names, and those that they read, up to one that fails."""
        at = ""

        def work(stage: Stage, run: Run, place: Path) -> dict[str, Any]:
            nonlocal at
            at = stage.name
            _forget_peak()
            beside, began = _sizes(run.folder / "images"), time.perf_counter()
            counts = stage.work(run, place)
            seconds, memory, files = time.perf_counter() - began, _peak(), _sizes(place)
            if not beside:
                files |= {f"images/{name}": size for name, size in _sizes(run.folder / "images").items()}
            self.usage[stage.name] = Usage(seconds, memory, files)
            return counts

        run = Run(self.recipe, folder, Console(file=io.StringIO()))
        try:
            execute(run, [replace(stage, work=partial(work, stage)) for stage in with_needs(self.stages, due)])
        except Exception as error:  # few images may be too few in ways that only the stages know
            self.failed = f"{at} failed on {max(self.images.values())} images: {error}"


def done_stages(run: Run, stages: Sequence[Stage]) -> dict[str, bool]:
    """Whether each stage is done and unchanged, by its record. Computes and writes nothing."""
    records = {stage.name: record_of(run.folder, stage.name) or {} for stage in stages}
    return {name: records[name].get("fingerprint") == value for name, value in fingerprints(stages).items()}


def try_stages(small: Callable[[int], Try], due: set[str], most: int, place: Path) -> list[Try]:
    """Try what is due, with the stages that it reads, on few images and then on more.

    Args:
        small: Makes a try of so many images of the largest split.
        due: Names of stages.
        most: How many images the largest split has.
        place: Where the tries' folders lie.

    Returns:
        Both; the second has the fewer images the longer the first took, and is left out where that was too long.
    """
    tries = [small(FEW)]
    tries[0].perform(due, place / "first")
    seconds = sum(usage.seconds for usage in tries[0].usage.values())
    many = min(MANY, most, int(FEW * BUDGET / max(seconds, 0.1)))
    if many >= min(2 * FEW, most):
        tries.append(small(many))
        tries[1].perform(due, place / "second")
    return tries


def estimates(
    run: Run, stages: Sequence[Stage], images: Mapping[str, int], tries: Sequence[Try]
) -> list[StageEstimate]:
    """Each stage's estimate.

    Args:
        run: Whose records say what is done.
        stages: All of its stages.
        images: How many it has, a split; {} where that is not known.
        tries: Of `try_stages`.
    """
    done = done_stages(run, stages)
    return [_estimate(run, stage, done[stage.name], images, tries) for stage in stages]


def _estimate(run: Run, stage: Stage, done: bool, images: Mapping[str, int], tries: Sequence[Try]) -> StageEstimate:
    if done and (record := record_of(run.folder, stage.name)):
        counts = [f"{value:,} {what}" for what, value in record["counts"].items() if isinstance(value, int)]
        disk = sum(size for size, *_ in record["files"].values())
        return StageEstimate(stage.name, True, ", ".join(counts[:2]), seconds=record["seconds"], disk=disk)
    if not images or stage.cost is None:
        return StageEstimate(stage.name, False)
    row = StageEstimate(stage.name, False, stage.cost.words(images), stage.cost.images(images))
    performed = [one for one in tries if stage.name in one.usage]
    if not performed:
        return row
    last, first = performed[-1], performed[0].usage[stage.name] if len(performed) > 1 else None
    usage, share = last.usage[stage.name], sum(images.values()) / sum(last.images.values())
    cost = next(one.cost for one in last.stages if one.name == stage.name)
    passes = stage.cost.images(images) / max(1, cost.images(last.images) if cost else 1)
    sizes = {name: (size, first.files.get(name, 0) if first else 0) for name, size in usage.files.items()}
    disk = sum(size if size < 2 * before else size * share for size, before in sizes.values())
    return replace(row, seconds=usage.seconds * passes, memory=float(usage.memory), disk=disk)


def sentence(tries: Sequence[Try], most: int, seconds: float) -> str:
    """Where the figures come from, in words; most: the images of the largest split."""
    sizes = list(dict.fromkeys(max(one.images.values()) for one in tries))
    text = f"tried on {' and '.join(map(str, sizes))} images in {seconds:.0f} s on this machine"
    if tries[-1].failed:
        return f"{text}; {tries[-1].failed}"
    if sizes[-1] == most:
        return text
    return f"{text}: what a stage takes once, such as loading a model, counts with every image, so time is too much"


def _sizes(folder: Path) -> dict[str, int]:
    paths = [path for path in folder.rglob("*") if path.is_file() and SCRATCH not in path.parts]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _forget_peak() -> None:
    with suppress(OSError):  # not Linux: the peak is then the whole process's
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return peak_memory()
