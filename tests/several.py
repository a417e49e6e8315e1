"""Running a function in several gloo processes of this machine, as torchrun would."""

import os
import sys
import tempfile
from pathlib import Path

import torch
from torch import distributed, multiprocessing


def several(world, work, *arguments):
    """What `work(ranks, *arguments)`, a function at the top of a test file, gives in each of `world` processes."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_one, (world, folder, list(sys.path), work, arguments), nprocs=world)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _one(rank, world, folder, path, work, arguments):
    sys.path[:] = path
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    from groundgraph.training.processes import joined

    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world)
    try:
        torch.save(work(joined(), *arguments), Path(folder) / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()
