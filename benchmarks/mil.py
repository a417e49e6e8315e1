"""MIL's similarity as one matrix product against materialising every product h_i * v_j.

    python benchmarks/mil.py [--threads 1] [--repeats 5]

24 captions of 10 entities against 24 images of 36 regions in 768 dimensions, forward and backward, with L_MIL on top.
"From H and V on" leaves the encoders out; "with encoders" has them in, from 768-d words and 1536-d regions, since they
are part of a step. Memory is the growth of the process's peak resident size during the call, measured in a fresh
process for each. Both give the same loss and gradients, which is checked. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable

import torch

from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.grounder import Grounder
from groundgraph.grounding.losses import bag_similarity, mil_loss

CAPTIONS, ENTITIES, REGIONS, SIZE, WORD, FEATURE = 24, 10, 36, 768, 768, 1536


def product(model: Grounder, h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(w * h) . v + b, as the package has it: [B, Ne, B, Nv]."""
    return model.everywhere(h, v)


def naive(model: Grounder, h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """FC_att of every product, each held in memory: [B, Ne, B, Nv] through [B, Ne, B, Nv, d]."""
    return model.attend(h[:, :, None, None] * v[None, None]).squeeze(-1)


def step(model: Grounder, score: Callable, h: torch.Tensor, v: torch.Tensor, encoders: bool) -> torch.Tensor:
    """One forward and backward pass; gives the loss and leaves the gradients."""
    model.zero_grad(set_to_none=True)
    h.grad = v.grad = None
    both = (model.encode_text(h), model.encode_regions(v)) if encoders else (h, v)
    scores = score(model, *both)
    entities, regions = torch.ones(scores.shape[:2], dtype=torch.bool), torch.ones(scores.shape[2:], dtype=torch.bool)
    loss = mil_loss(bag_similarity(scores, entities, regions))
    loss.backward()
    return loss.detach()


def inputs(encoders: bool) -> tuple[Grounder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = Grounder(WORD, FEATURE, GroundingConfig(dimension=SIZE, dropout=0.0))
    h = torch.randn(CAPTIONS, ENTITIES, WORD if encoders else SIZE, requires_grad=True)
    v = torch.randn(CAPTIONS, REGIONS, FEATURE if encoders else SIZE, requires_grad=True)
    return model, h, v


def seconds(score: Callable, encoders: bool, repeats: int) -> float:
    """The least of a few runs."""
    model, h, v = inputs(encoders)
    step(model, score, h, v, encoders)
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        step(model, score, h, v, encoders)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def _memory(score: Callable, threads: int, pipe) -> None:
    torch.set_num_threads(threads)
    model, h, v = inputs(False)
    small = [torch.randn(2, 2, SIZE, requires_grad=True) for _ in range(2)]
    step(model, score, *small, False)  # libraries take what they need for themselves
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak counts from here
    before = _peak()
    step(model, score, h, v, False)
    pipe.send(_peak() - before)


def memory(score: Callable, threads: int) -> int:
    """Bytes by which the peak resident size grows during a step, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_memory, args=(score, threads, theirs))
    process.start()
    grown = ours.recv()
    process.join()
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for encoders in (False, True):  # the same figures either way
        model, h, v = inputs(encoders)
        results = []
        for score in (product, naive):
            loss = step(model, score, h, v, encoders)
            results.append((loss, h.grad.clone(), v.grad.clone(), model.attend.weight.grad.clone()))
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-3)
    report: dict[str, object] = {"threads": options.threads}
    for name, encoders in (("from H and V on", False), ("with encoders", True)):
        ours, theirs = (seconds(score, encoders, options.repeats) for score in (product, naive))
        report[name] = {"ms": 1e3 * ours, "naive ms": 1e3 * theirs, "times faster": theirs / ours}
        print(f"{name}: {1e3 * ours:.1f} ms, naive {1e3 * theirs:.0f} ms: {theirs / ours:.1f} times faster")
    ours, theirs = (memory(score, options.threads) for score in (product, naive))
    ours = max(ours, 4096)  # nothing at all cannot be a divisor: a page
    report["extra memory"] = {"MiB": ours / 2**20, "naive MiB": theirs / 2**20, "times less": theirs / ours}
    print(f"extra memory: {ours / 2**20:.1f} MiB, naive {theirs / 2**20:.0f} MiB: {theirs / ours:.0f} times less")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
