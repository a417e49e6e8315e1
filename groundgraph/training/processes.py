"""Training by several processes at once: what each does of a batch, and how they make one result of it.

Every process goes through the same permutation and draws the same random numbers for the whole batch, then works on its
part of it. A loss is the sum of what the processes compute, each over the counts of the whole batch; gradients are
added up. So a batch teaches the same however many processes share it. Lightning Fabric starts the processes that
torchrun made (`launch`). It does not wrap the models: a process may have no example of some kind and so no gradient of
some layer, and losses that set images against each other reach across processes, both of which DDP does not foresee.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from groundgraph.errors import InputError
from groundgraph.models.device import device_of, gpu_count

T = TypeVar("T")
CPU = torch.device("cpu")


def divide(rows: slice, parts: int) -> list[slice]:
    """Rows in parts that follow each other, whose sizes differ by at most 1."""
    count = rows.stop - rows.start
    return [slice(rows.start + count * i // parts, rows.start + count * (i + 1) // parts) for i in range(parts)]


@dataclass(frozen=True)
class Ranks:
    """This process among its like; the default is one alone, for which everything here does nothing.

    Args:
        rank: its number.
        world: how many there are.
        device: of several, where this one's model and batches lie (`place` says where one alone has them).
        control: the gloo group by which it waits (where collectives of tensors go through NCCL, a wait of hours for
            another's work must not look like a hang).
    """

    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    control: Any = field(default=None, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, shows and does what is done once."""
        return self.rank == 0

    def place(self, device: str | torch.device = "auto") -> torch.device:
        """Where this process's models run: on its own device among several, else where is asked (`device_of`)."""
        return self.device if self.world > 1 else device_of(device)

    def part(self, total: int) -> slice:
        """This process's rows of `total`."""
        return divide(slice(0, total), self.world)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, without a gradient."""
        if self.world == 1:
            return values
        values = values.detach().to(self.device, copy=True)
        distributed.all_reduce(values)
        return values

    def same_start(self, model: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.world > 1:
            for values in model.state_dict().values():
                distributed.broadcast(values, 0)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the processes' gradients; a parameter that has one in no process is left without, as in one alone."""
        if self.world == 1:
            return
        learnt = [p for p in parameters if p.requires_grad]
        has_gradient = torch.tensor([p.grad is not None for p in learnt], dtype=torch.float32, device=self.device)
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learnt]
        sizes = [p.numel() for p in learnt] + [len(learnt)]
        *parts, counts = torch.split(self.sum(torch.cat([*parts, has_gradient])), sizes)
        for parameter, part, count in zip(learnt, parts, counts.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if count else None

    def seed_dropout(self, seed: int, step: int) -> None:
        """Dropout of its own for each process and step, which a training that goes on elsewhere need not have stored.

        A process alone draws on where it was, as its checkpoint says.
        """
        if self.world > 1:
            torch.manual_seed(hash((seed, step, self.rank)) % 2**63)

    def ask(self, work: Callable[[], T]) -> T:
        """What `work` gives in the first process, sent to all; the others wait, however long."""
        if self.world == 1:
            return work()
        answer: list[Any] = [work() if self.first else None]
        distributed.broadcast_object_list(answer, 0, group=self.control)
        return cast(T, answer[0])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            distributed.barrier(group=self.control)

    def leave(self) -> None:
        """End the group when all have come here: a process that just ends may take another's connection with it."""
        if self.world > 1:
            self.wait()
            distributed.destroy_process_group()


ALONE = Ranks()


@dataclass(frozen=True)
class Share:
    """The rows of a batch that are this process's, of the `total` rows of all; the default: all of them."""

    ranks: Ranks = ALONE
    total: int = 0

    @property
    def rows(self) -> slice:
        """Which of the batch's rows they are."""
        return slice(None) if self.ranks.world == 1 else self.ranks.part(self.total)

    @property
    def start(self) -> int:
        """Where they begin."""
        return self.rows.start or 0

    def gather(self, values: Tensor) -> Tensor:
        """The whole batch's rows, in order; gradients go back, summed, to the process whose rows they are.

        Args:
            values: this process's rows [its share, ...], of one shape in all processes.

        Returns:
            Tensor: [total, ...].
        """
        if self.ranks.world == 1:
            return values
        from torch.distributed.nn.functional import all_gather  # some builds of torch come without

        sizes = [part.stop - part.start for part in divide(slice(0, self.total), self.ranks.world)]
        padded = values.new_zeros(max(sizes), *values.shape[1:])  # gloo gathers tensors of one shape
        padded[: len(values)] = values
        parts = all_gather(padded.byte() if values.dtype == torch.bool else padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]).to(values.dtype)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, without a gradient."""
        return self.ranks.sum(values)

    def of_all(self, loss: Tensor) -> Tensor:
        """This process's share of a loss that every process computes whole."""
        return loss / self.ranks.world

    def draw(
        self,
        how: Callable[..., Tensor],
        shape: tuple[int, ...],
        generator: torch.Generator | None,
        device: torch.device = CPU,
    ) -> Tensor:
        """This process's rows of what is drawn for the whole batch.

        Every process draws all, so that their generators stay together; on the CPU, so that all machines draw the same.

        Args:
            how: called as how(shape, generator=...), torch.rand for one.
            shape: of this process's rows.
            generator: the same in all processes.
            device: where the rows go.
        """
        whole = shape if self.ranks.world == 1 else (self.total, *shape[1:])
        return how(whole, generator=generator)[self.rows].to(device)


WHOLE = Share()


def is_first() -> bool:
    """Whether this is the process that shows, before `launch` has joined those that torchrun started."""
    return not _by_torchrun() or os.environ["RANK"] == "0"


def _by_torchrun() -> bool:
    """Whether torchrun started this process; some builds of torch come without torch.distributed."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def launch(device: str = "auto") -> Ranks:
    """This process's place among those that torchrun started, joined by Lightning Fabric; `ALONE` without torchrun.

    Args:
        device: as in a recipe (`device_of`); of several processes each has a GPU of its own, where it is not the CPU.

    Raises:
        InputError: where Fabric is not installed, or where there is no such device or too few of them.
    """
    place = device_of(device)
    if not _by_torchrun() or os.environ["WORLD_SIZE"] == "1":
        return ALONE
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError("torchrun needs Lightning Fabric: pip install 'groundgraph[cluster]'") from error
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    if place.index is not None or place.type not in ("cpu", "cuda"):
        raise InputError(f"device {place} under torchrun, which gives each process a GPU of its own: take cuda or cpu")
    if place.type == "cuda" and here > gpu_count():
        raise InputError(f"{here} processes on a machine with {gpu_count()} GPUs: start one for each, or --device cpu")
    nodes = int(os.environ["WORLD_SIZE"]) // here
    fabric = Fabric(accelerator=place.type, devices=here, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    return joined(fabric.device)


def joined(device: torch.device = CPU) -> Ranks:
    """This process's place in the group that torch.distributed holds already."""
    control = distributed.new_group(backend="gloo", timeout=timedelta(days=30))
    return Ranks(distributed.get_rank(), distributed.get_world_size(), device, control)
