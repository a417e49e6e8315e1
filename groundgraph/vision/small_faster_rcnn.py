"""A small torchvision Faster R-CNN for small pictures: trained in minutes on a processor."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork, MultiScaleRoIAlign


@dataclass(frozen=True)
class SmallConfig:
    """What the network is made of.

    Attributes:
        side: Pictures are scaled to this many pixels a side before they enter.
        widths: Channels of the stem (stride 2) and of the stages of stride 4, 8 and 16.
        channels: Channels of the feature pyramid over those three stages.
        anchors: Anchor sizes in pixels of each pyramid level.
        ratios: Anchor heights over widths.
        pool: Cells a side that a region is pooled to, from the stride-4 level.
        features: Length of a region's feature vector.
    """

    side: int = 112
    widths: tuple[int, int, int, int] = (32, 64, 96, 128)
    channels: int = 96
    anchors: tuple[tuple[int, ...], ...] = ((12, 20), (32, 48), (68, 96))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    pool: int = 5
    features: int = 256


class SmallResNetFpn(nn.Module):
    """Residual stages and a feature pyramid: [B, 3, H, W] -> {"0": [B, c, H/4, W/4], "1": H/8, "2": H/16}."""

    def __init__(self, widths: tuple[int, int, int, int], channels: int) -> None:
        super().__init__()
        self.out_channels = channels
        self.stem = Conv2dNormActivation(3, widths[0], 3, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(_block(before, after, 2), _block(after, after, 1)) for before, after in pairwise(widths)
        )
        self.pyramid = FeaturePyramidNetwork(list(widths[1:]), channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the pyramid's maps of pictures [B, 3, H, W]."""
        x = self.stem(images)
        maps = OrderedDict()
        for level, stage in enumerate(self.stages):
            maps[str(level)] = x = stage(x)
        return self.pyramid(maps)


def _block(before: int, after: int, stride: int) -> BasicBlock:
    same = before == after and stride == 1
    return BasicBlock(before, after, stride, None if same else _shortcut(before, after, stride))


def _shortcut(before: int, after: int, stride: int) -> nn.Module:
    return Conv2dNormActivation(before, after, 1, stride=stride, activation_layer=None)


class AgnosticPredictor(nn.Module):
    """Class logits and one box correction a region, the same for every class: it also serves things never taught."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.scores = nn.Linear(features, classes)
        self.box = nn.Linear(features, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [R, 1 + C] and corrections [R, 4 (1 + C)], in torchvision's layout, of [R, features]."""
        return self.scores(x), self.box(x).repeat(1, self.classes)


def small_faster_rcnn(config: SmallConfig, categories: int) -> FasterRCNN:
    """Return the untrained network for `categories` classes besides the background."""
    backbone = SmallResNetFpn(tuple(config.widths), config.channels)
    return FasterRCNN(
        backbone,
        min_size=config.side,
        max_size=config.side,
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
        rpn_anchor_generator=AnchorGenerator(
            tuple(tuple(sizes) for sizes in config.anchors), (tuple(config.ratios),) * len(config.anchors)
        ),
        rpn_pre_nms_top_n_train=150,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=64,
        rpn_batch_size_per_image=64,
        rpn_fg_iou_thresh=0.6,
        rpn_nms_thresh=0.7,
        box_roi_pool=MultiScaleRoIAlign(["0"], config.pool, 2),
        box_head=TwoMLPHead(config.channels * config.pool**2, config.features),
        box_predictor=AgnosticPredictor(config.features, categories + 1),
        box_batch_size_per_image=48,
        box_positive_fraction=0.33,
    )
