"""What the experts' training scripts share: the trainer's task, atomic folders, cards, a command line."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic

import torch
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from groundgraph.training.config import OptimConfig
from groundgraph.training.task import BatchT, TrainingTask
from groundgraph.training.trainer import train


class ExpertTask(TrainingTask[BatchT], Generic[BatchT]):
    """An expert, or a phase of its training: so many steps, each on a batch that is drawn for it.

    Args:
        name: of the phase, shown while it is trained.
        model: all that is learnt.
        steps: how many.
        seed: of all draws.
        facts: plain values that a checkpoint's training must have in common with this one.
    """

    def __init__(self, name: str, model: nn.Module, steps: int, seed: int, **facts: Any) -> None:
        super().__init__(model, steps, {"phase": name} | facts, seed)
        self.name = name

    @abstractmethod
    def draw(self, places: list[int]) -> BatchT:
        """A step's batch; places: its part of `order`."""

    def order(self) -> list[int]:
        """The examples of all steps; none where `draw` chooses them itself."""
        return []

    def batches(self, epoch: int, order: list[int], done: int) -> Iterator[tuple[BatchT]]:
        """Each step's batch, in one part."""
        size = len(order) // self.steps
        for step in range(done, self.steps):
            yield (self.draw(order[step * size : (step + 1) * size]),)

    @abstractmethod
    def losses(self, batch: BatchT) -> dict[str, Tensor]:
        """As `TrainingTask.losses`."""


def fit(task: ExpertTask[BatchT], scratch: Path, **options: Any) -> None:
    """Train an expert with a bar that shows its losses.

    Args:
        task: what is trained.
        scratch: a folder for its checkpoint, from which a training that was stopped goes on; see `scratch_of`.
        options: of `OptimConfig`.
    """
    config = OptimConfig(epochs=1, optimizer="adamw", **options)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as bar:
        row = bar.add_task(task.name, total=task.steps)

        def show(done: int, total: int, losses: dict[str, float]) -> None:
            values = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            bar.update(row, completed=done, description=f"{task.name}  {values}")

        train(task, config, show, checkpoint=scratch / f"{task.name}.pt")


@contextmanager
def scratch_of(folder: Path) -> Iterator[Path]:
    """A folder beside the one to write, for checkpoints; it goes when the block has ended without an error."""
    scratch = Path(folder).absolute().with_name(f".{Path(folder).name}-training")
    yield scratch
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Write a folder aside and put it in place of the old one only when it is whole."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield scratch
        old = scratch.with_name(scratch.name + "-old")
        if folder.exists():
            os.replace(folder, old)
        os.replace(scratch, folder)
        folder.chmod(0o755)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def save(folder: Path, model: torch.nn.Module, tokenizer, card: str, *extra: Callable[[Path], None]) -> None:
    """Save a transformers model (float16 safetensors), its tokenizer and its card, all or nothing.

    The model itself stays in float32; `extra` functions may write more files into the folder.
    """
    halves: dict[int, torch.Tensor] = {}  # tied weights stay one tensor, so that they are saved once
    state = {
        k: halves.setdefault(v.data_ptr(), v.half()) if v.is_floating_point() else v
        for k, v in model.state_dict().items()
    }
    with replacing(folder) as scratch:
        dtype, model.config.dtype = model.config.dtype, torch.float16
        try:
            model.save_pretrained(scratch, state_dict=state)
        finally:
            model.config.dtype = dtype
        tokenizer.save_pretrained(scratch)
        (scratch / "README.md").write_text(card, encoding="utf-8")
        for function in extra:
            function(scratch)
        for file in scratch.iterdir():
            file.chmod(0o644)


def card(title: str, what: str, facts: Mapping[str, object], figures: Mapping[str, object], command: str) -> str:
    """A checkpoint's card (Markdown): what it is, how it was trained, held-out figures."""

    def table(head: str, rows: Mapping[str, object]) -> str:
        body = "\n".join(f"| {k} | {v:.3f} |" if isinstance(v, float) else f"| {k} | {v} |" for k, v in rows.items())
        return f"| {head} | |\n|---|---|\n{body}"

    training, held_out = table("training", facts), table("held-out images", figures)
    return f"# {title}\n\n{what}\n\n{training}\n\n{held_out}\n\nTrain it again: `{command}`.\n"


def threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command_line(train_expert: Callable[..., dict[str, Any]], description: str, steps: int, folder: Path) -> None:
    """The scripts' command line: --steps, --out, --seed, --threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps, help="training steps (default %(default)s)")
    parser.add_argument("--out", type=Path, default=folder, help="folder to write (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=threads(), help="processor threads (default %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for key, value in train_expert(arguments.out, arguments.steps, seed=arguments.seed).items():
        print(f"{key}: {value}")
