"""A backbone of one's choice that describes regions, whatever detector proposed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models

from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.device import device_of
from groundgraph.models.hub import PREPARATION, WEIGHTS, load_torchvision, located
from groundgraph.vision.pooling import pool_regions

SIDE = 448  # pixels a side that pictures have for a convolutional network of torchvision: a grid of 14 x 14


class Backbone:
    """A network that turns pictures of one size into a feature map.

    Args:
        network: The network, whose weights move to the device.
        maps: [B, 3, h, w] pixels -> [B, C, h', w'] features, by the network.
        size: Height and width in pixels that pictures are resized to; the aspect is not kept, so that the grid covers
            the whole picture.
        mean: Of the RGB channels, in 0 to 1.
        std: Of the RGB channels, in 0 to 1.
        device: See `groundgraph.models.device`.
    """

    batch_size = 16

    def __init__(
        self,
        network: nn.Module,
        maps: Callable[[Tensor], Tensor],
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        device: str | torch.device = "auto",
    ) -> None:
        self.device = device_of(device)
        self.network, self.maps, self.size = network.eval().to(self.device), maps, size
        self.mean, self.std = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (list(mean), list(std)))

    @torch.inference_mode()
    def features(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the features of boxes.

        Args:
            images: B pictures of any sizes.
            boxes: B times [V, 4] xyxy in pixels.

        Returns:
            B times [V, C] float32.
        """
        features: list[np.ndarray] = []
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            resized = [np.asarray(i.convert("RGB").resize(self.size[::-1], Image.Resampling.BICUBIC)) for i in part]
            pixels = torch.from_numpy(np.stack(resized)).to(self.device).permute(0, 3, 1, 2).float() / 255
            shares = [
                torch.from_numpy(np.asarray(b, np.float32).reshape(-1, 4) / np.array(i.size * 2, np.float32))
                for b, i in zip(boxes[start : start + self.batch_size], part, strict=True)
            ]
            pooled = pool_regions(self.maps((pixels - self.mean) / self.std).float(), shares)
            features += [f.cpu().numpy() for f in pooled]
        return features


def load_backbone(name: str, device: str | torch.device = "auto") -> Backbone:
    """Return a backbone by name.

    Args:
        name: torchvision:NAME (a classifier such as resnet50), else a transformers vision model's hub id or folder:
            ResNet, Swin, ConvNeXt, DINOv2 and other backbones; ViT, CLIP, SigLIP and others made of patch tokens.
        device: See `groundgraph.models.device`.

    Raises:
        InputError: It cannot be loaded, or gives no feature map.
    """
    kind, _, rest = name.partition(":")
    return _torchvision(rest, device) if kind == "torchvision" else _transformers(name, device)


def _torchvision(name: str, device: str | torch.device) -> Backbone:
    if name not in models.list_models(models):
        raise InputError(f"torchvision has no classifier {name!r}; take one such as torchvision:resnet50")
    network = models.get_model(name, weights=None)
    if hasattr(network, "layer4"):
        stem = (network.conv1, network.bn1, network.relu, network.maxpool)
        body = nn.Sequential(*stem, network.layer1, network.layer2, network.layer3, network.layer4)
    elif hasattr(network, "features") and not name.startswith("swin"):
        body = network.features
    else:
        raise InputError(
            f"torchvision's {name} has no convolutional feature map; take one such as torchvision:resnet50"
        )
    load_torchvision(network, name)
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    return Backbone(body, body, (SIDE, SIDE), transforms.mean, transforms.std, device)


def _transformers(name: str, device: str | torch.device) -> Backbone:
    from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig, AutoImageProcessor, AutoModel

    place = located(name, WEIGHTS, PREPARATION)
    try:
        with quietly():
            processor = AutoImageProcessor.from_pretrained(place)
            config = AutoConfig.from_pretrained(place)
            # AutoBackbone asks the hub whether it knows the name, even where that is a folder; its table does not.
            if type(config) in MODEL_FOR_BACKBONE_MAPPING:
                network = MODEL_FOR_BACKBONE_MAPPING[type(config)].from_pretrained(place)
            else:
                network = AutoModel.from_pretrained(place)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"no vision model could be loaded from '{name}' ({error}): check the name") from error
    kind = config.model_type
    if network.main_input_name != "pixel_values":
        raise InputError(f"'{name}' is a {kind} model, which reads no pictures; take a ResNet, Swin, ViT or CLIP")
    network = getattr(network, "vision_model", network)
    size = dict(processor.crop_size or processor.size)
    short = size.get("shortest_edge")
    side = (short, short) if short else (size["height"], size["width"])
    patch = getattr(network.config, "patch_size", None)

    def maps(pixels: Tensor) -> Tensor:
        output = network(pixels)
        feature_maps = getattr(output, "feature_maps", None)
        if feature_maps is not None:
            return feature_maps[-1]
        tokens = getattr(output, "last_hidden_state", None)
        if tokens is None or not isinstance(patch, int):
            raise InputError(
                f"'{name}' is a {kind} model, which gives no feature map; take a ResNet, Swin, ViT or CLIP"
            )
        h, w = (s // patch for s in side)
        return tokens[:, -h * w :].transpose(1, 2).unflatten(2, (h, w))  # what stands before the patches is no place

    return Backbone(network, maps, side, processor.image_mean, processor.image_std, device)
