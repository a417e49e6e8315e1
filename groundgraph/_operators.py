"""Makes torchvision importable and usable where its compiled operators cannot load.

A torchvision built for CUDA beside a CPU build of torch (what package indexes often pair) fails on import with
"operator torchvision::nms does not exist". Importing groundgraph hooks the import of torchvision: where its own
operators load, nothing happens; else `nms` and `roi_align` are defined in plain PyTorch, exact and differentiable.
The hook imports nothing by itself, so `import groundgraph` stays cheap.
"""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

_NMS_BLOCK = 1024  # boxes compared with each other at once
_ALIGN_CHUNK = 2_000_000  # (bin, cell) weights held at once
_libraries = []  # torch.library forgets its registrations when the library object dies


def nms(boxes, scores, iou_threshold: float):
    """Greedy non-maximum suppression: boxes [N, 4] xyxy, scores [N] -> kept indices, int64, best first.

    A box falls when its IoU with a kept, better box exceeds the threshold; equal scores keep their order.
    Within a block the greedy answer is the one fixed point of "kept unless a kept box before me overlaps me", found by
    iterating from "all kept": after n rounds every chain of n suppressions is settled.
    """
    import torch

    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    order = scores.argsort(descending=True, stable=True)
    ordered = boxes[order]
    kept = ordered[:0]
    out = []
    for start in range(0, len(ordered), _NMS_BLOCK):
        block = ordered[start : start + _NMS_BLOCK]
        open_ = ~_overlap(kept, block, iou_threshold).any(0)
        before = _overlap(block, block, iou_threshold).triu_(1) & open_[:, None]
        keep = open_
        while True:
            again = open_ & ~(before & keep[:, None]).any(0)
            if torch.equal(again, keep):
                break
            keep = again
        kept = torch.cat([kept, block[keep]])
        out.append(order[start : start + _NMS_BLOCK][keep])
    return torch.cat(out)


def _overlap(a, b, threshold: float):
    """[A, B] bool: IoU above the threshold (an IoU of 0 / 0 is not)."""
    import torch

    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    both = (high - low).clamp_(min=0).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b))
    return both / (area_a[:, None] + area_b[None] - both) > threshold


def roi_align(
    input, rois, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int, aligned: bool
):
    """Mean of bilinear samples in each bin: [B, C, H, W], rois [K, 5] (image, x0, y0, x1, y1) -> [K, C, PH, PW].

    The bilinear weights of a sample grid are the product of a vertical and a horizontal part, so each bin is a weighted
    sum of feature cells: one `embedding_bag` over the flattened map, with a gradient to the map and (as in torchvision)
    none to the boxes. sampling_ratio <= 0 takes ceil(roi size / bins) samples an axis, as documented there.
    """
    import torch

    _, channels, height, width = input.shape
    if len(rois) == 0:
        return input.new_zeros((0, channels, pooled_height, pooled_width)) + 0 * input.sum()
    kind = torch.float64 if input.dtype == torch.float64 else torch.float32  # half precision is summed in single
    cells = input.permute(0, 2, 3, 1).reshape(-1, channels).to(kind)
    with torch.no_grad():
        where = rois.to(kind)
        shift = 0.5 if aligned else 0.0
        low, high = where[:, 1:3] * spatial_scale - shift, where[:, 3:] * spatial_scale - shift
        extent = high - low if aligned else (high - low).clamp(min=1)
        bins = torch.tensor([pooled_width, pooled_height], device=rois.device)
        samples = torch.full_like(extent, sampling_ratio) if sampling_ratio > 0 else torch.ceil(extent / bins)
        samples = samples.clamp(min=0 if sampling_ratio <= 0 else 1)
        most = max(int(samples.max()), 1)
        first = where[:, 0].long() * height * width
    out = []
    step = max(1, _ALIGN_CHUNK // (pooled_height * pooled_width * 4 * most * most))
    for part in torch.arange(len(rois), device=rois.device).split(step):
        with torch.no_grad():
            column, across = _axis(low[part, 0], extent[part, 0], samples[part, 0], pooled_width, width)
            row, down = _axis(low[part, 1], extent[part, 1], samples[part, 1], pooled_height, height)
            index = first[part, None, None, None, None] + row[:, :, None, :, None] * width + column[:, None, :, None, :]
            weight = down[:, :, None, :, None] * across[:, None, :, None, :]
        shape = (-1, index.shape[-2] * index.shape[-1])
        pooled = torch.nn.functional.embedding_bag(
            index.reshape(shape), cells, mode="sum", per_sample_weights=weight.reshape(shape)
        )
        out.append(pooled.view(len(part), pooled_height, pooled_width, channels))
    return torch.cat(out).permute(0, 3, 1, 2).contiguous().to(input.dtype)


def _axis(low, extent, samples, bins: int, size: int):
    """One axis of the sample grid: -> cell indices [K, bins, 2 S] and their weights, the mean over the samples inside.

    A sample more than one cell outside the map counts as zero; nearer ones are moved onto its border.
    """
    import torch

    grid = torch.arange(max(int(samples.max()), 1), device=low.device, dtype=low.dtype)
    wide = (extent / bins)[:, None, None]
    count = samples.clamp(min=1)[:, None, None]
    at = low[:, None, None] + torch.arange(bins, device=low.device)[:, None] * wide + (grid + 0.5) * wide / count
    counts = (grid < samples[:, None, None]) & (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    cell = at.floor().long().clamp(max=size - 1)
    part = at - cell
    weight = torch.cat([(1 - part) * counts, part * counts], -1) / count
    return torch.cat([cell, (cell + 1).clamp(max=size - 1)], -1), weight


def _define() -> None:
    """Registers the operators. qnms has a schema only: torchvision's import describes it, nobody calls it."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define(
        "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor"
    )
    library.impl("nms", nms, "CompositeExplicitAutograd")
    library.impl("roi_align", roi_align, "CompositeImplicitAutograd")
    _libraries.append(library)


def _load(run, module) -> None:
    """Runs torchvision's own import, with our operators in place where its compiled ones cannot load."""
    extension = importlib.import_module("torchvision.extension")
    if extension._has_ops():
        run(module)
        return
    if not _libraries:
        _define()
    run(module)
    # Only now: during the import, "has operators" would make torchvision describe a dozen that are not there.
    for name, loaded in list(sys.modules.items()):
        if name.startswith("torchvision.") and hasattr(loaded, "_has_ops"):
            loaded._has_ops = lambda: True


class _Hook(MetaPathFinder):
    """Finds torchvision as Python would, and wraps the run of its module."""

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_load, spec.loader.exec_module)
        return spec


def install() -> None:
    """Hooks the import of torchvision, once."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _Hook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hook())


install()
