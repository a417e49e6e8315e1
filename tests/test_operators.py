"""The stand-ins for torchvision's compiled operators, against hand-computed numbers."""

import subprocess
import sys

import pytest
import torch

from groundgraph import _operators


def test_torchvision_works_after_importing_groundgraph():
    import torchvision
    from torchvision.ops import batched_nms

    assert torchvision.extension._has_ops()
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    assert batched_nms(boxes, torch.tensor([0.2, 0.9, 0.5]), torch.tensor([0, 0, 1]), 0.5).tolist() == [1, 2]


def test_importing_groundgraph_is_cheap_and_transformers_sees_torchvision():
    code = (
        "import groundgraph, sys\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules\n"
        "from transformers.utils import is_torchvision_available\n"
        "assert is_torchvision_available()\n"
        "import torchvision\n"
        "assert torchvision.ops.nms\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nms_keeps_the_best_of_each_cluster():
    # IoU of 0 and 1: 80 / 120 = .667; of 1 and 2: the same; of 0 and 2: 60 / 140 = .43
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10], [50, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95])
    assert _operators.nms(boxes, scores, 0.5).tolist() == [3, 0, 2]  # 1 falls to 0, so it cannot take 2 with it
    assert _operators.nms(boxes, scores, 0.7).tolist() == [3, 0, 1, 2]
    assert _operators.nms(boxes, scores, 0.4).tolist() == [3, 0]
    assert _operators.nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_nms_ties_thresholds_and_empty_boxes():
    half = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])  # IoU exactly .5: not above the threshold
    assert _operators.nms(half, torch.tensor([0.5, 0.5]), 0.5).tolist() == [0, 1]
    assert _operators.nms(half, torch.tensor([0.5, 0.5]), 0.49).tolist() == [0]
    point = torch.zeros(2, 4)  # 0 / 0 suppresses nothing
    assert _operators.nms(point, torch.tensor([0.1, 0.2]), 0.5).tolist() == [1, 0]


def test_nms_in_blocks_is_the_greedy_loop(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(300, 2, generator=generator) * 60
    boxes = torch.cat([low, low + 5 + torch.rand(300, 2, generator=generator) * 30], 1)
    scores = torch.rand(300, generator=generator)

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        both = max(width, 0) * max(height, 0)
        return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)

    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou(boxes[i].tolist(), boxes[j].tolist()) <= 0.45 for j in kept):
            kept.append(i)
    for block in (7, 64, 1024):
        monkeypatch.setattr(_operators, "_NMS_BLOCK", block)
        assert _operators.nms(boxes, scores, 0.45).tolist() == kept


def ramp() -> torch.Tensor:
    """[1, 2, 4, 5]: channel 0 is the column, channel 1 is 10 times the row."""
    column = torch.arange(5.0).expand(4, 5)
    row = 10 * torch.arange(4.0)[:, None].expand(4, 5)
    return torch.stack([column, row])[None]


@pytest.mark.parametrize("sampling", [1, 2, 0, -1])
def test_roi_align_of_a_ramp_is_the_bin_centre(sampling):
    # A box from (1, 1) to (3, 3) in two bins: centres 1.5 and 2.5; aligned shifts all by half a cell.
    rois = torch.tensor([[0.0, 1, 1, 3, 3]])
    plain = _operators.roi_align(ramp(), rois, 1.0, 2, 2, sampling, False)
    assert torch.allclose(plain[0, 0], torch.tensor([[1.5, 2.5], [1.5, 2.5]]))
    assert torch.allclose(plain[0, 1], torch.tensor([[15.0, 15.0], [25.0, 25.0]]))
    aligned = _operators.roi_align(ramp(), rois * torch.tensor([1.0, 2, 2, 2, 2]), 0.5, 2, 2, sampling, True)
    assert torch.allclose(aligned[0, 0], torch.tensor([[1.0, 2.0], [1.0, 2.0]]))


def test_roi_align_outside_the_map():
    ones = torch.ones(1, 1, 4, 4)
    # One bin, two samples an axis. x: -2.5 + 5/4 = -1.25 (zero) and 1.25; y: 1, 2. Half of the samples count.
    rois = torch.tensor([[0.0, -2.5, 0.5, 2.5, 2.5]])
    assert _operators.roi_align(ones, rois, 1.0, 1, 1, 2, False).item() == pytest.approx(0.5)
    # Within one cell outside, the border counts in full: x = -0.9 and 0.9.
    rois = torch.tensor([[0.0, -1.8, 0.5, 1.8, 2.5]])
    assert _operators.roi_align(ones, rois, 1.0, 1, 1, 2, False).item() == pytest.approx(1.0)


def test_roi_align_narrow_boxes_and_several_images(monkeypatch):
    images = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 5.0)])
    rois = torch.tensor([[1.0, 1, 1, 1, 1], [0.0, 0, 0, 3, 3], [1.0, 0, 0, 2, 1]])
    for chunk in (1, 10_000):
        monkeypatch.setattr(_operators, "_ALIGN_CHUNK", chunk)
        out = _operators.roi_align(images, rois, 1.0, 2, 3, 2, False)
        assert out.shape == (3, 1, 2, 3)
        assert torch.allclose(out.mean((1, 2, 3)), torch.tensor([5.0, 1.0, 5.0]))
        assert float(out.std((1, 2, 3)).max()) < 1e-5
    assert _operators.roi_align(images, rois[:0], 1.0, 2, 3, 2, False).shape == (0, 1, 2, 3)


def test_roi_align_gradient():
    # One bin, one sample at (x, y) = (1.25, 2.5): cells get .75 / .25 across times .5 / .5 down.
    image = torch.zeros(1, 1, 4, 4, requires_grad=True)
    torch.ops.torchvision.roi_align(
        image, torch.tensor([[0.0, 0.75, 2, 1.75, 3]]), 1.0, 1, 1, 1, False
    ).sum().backward()
    expected = torch.zeros(4, 4)
    expected[2:4, 1], expected[2:4, 2] = 0.375, 0.125
    assert torch.allclose(image.grad[0, 0], expected)
    rois = torch.tensor([[0.0, 0.3, 0.2, 3.1, 2.7], [1.0, 0.5, 0.9, 3.9, 3.9]], dtype=torch.float64)
    images = torch.rand(2, 2, 4, 5, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda x: _operators.roi_align(x, rois, 1.0, 2, 2, -1, True), (images,))
