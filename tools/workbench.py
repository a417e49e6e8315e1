"""What the experts' training scripts share: a time budget, atomic folders, cards, a command line."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Budget:
    """A training's time: steps, the learning rate's factor, log lines, a progress bar.

    minutes    how long to train; the schedule follows the clock, so that a slower machine still ends its cooling
    warm_up    steps over which the rate rises
    log_every  steps between two printed lines
    """

    def __init__(self, name: str, minutes: float, warm_up: int = 200, log_every: int = 100):
        self.name, self.seconds, self.warm_up, self.log_every = name, 60.0 * minutes, warm_up, log_every
        self.start, self.step = time.monotonic(), 0
        self.losses: dict[str, list[float]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def factor(self) -> float:
        """The learning rate's factor now: a linear rise, then half a cosine down to 1 % over the time given."""
        part = min(1.0, self.elapsed / self.seconds)
        return min(1.0, (self.step + 1) / self.warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))

    def steps(self, optimiser: torch.optim.Optimizer) -> Iterator[int]:
        """Yield step numbers until the time is up, the optimiser's rates set for each (`base` of every group)."""
        for group in optimiser.param_groups:
            group["base"] = group["lr"]
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
            task = bar.add_task(self.name, total=self.seconds)
            while self.elapsed < self.seconds:
                for group in optimiser.param_groups:
                    group["lr"] = group["base"] * self.factor()
                yield self.step
                self.step += 1
                bar.update(task, completed=self.elapsed)
                if self.step % self.log_every == 0:
                    means = "  ".join(f"{k} {np.mean(v[-self.log_every :]):.3f}" for k, v in self.losses.items())
                    bar.console.print(f"{self.name} step {self.step}  {self.elapsed:.0f} s  {means}")

    def note(self, **losses: float) -> None:
        """Remember a step's losses for the next log line."""
        for key, value in losses.items():
            self.losses.setdefault(key, []).append(float(value))

    def due(self, every: float) -> bool:
        """Whether `every` seconds have gone by since this last was true (the first time: since the start)."""
        last = getattr(self, "_last", 0.0)
        if self.elapsed - last < every:
            return False
        self._last = self.elapsed
        return True


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


def command_line(train: Callable[..., dict], description: str, minutes: float, folder: Path) -> None:
    """The scripts' command line: --minutes, --out, --seed, --threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=minutes, help="training time (default %(default)s)")
    parser.add_argument("--out", type=Path, default=folder, help="folder to write (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=threads(), help="processor threads (default %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for key, value in train(arguments.out, arguments.minutes, seed=arguments.seed).items():
        print(f"{key}: {value}")
