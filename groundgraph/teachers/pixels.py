"""Pictures to a model's input, as its preprocessor_config.json says but never cropped: a crop would cut regions off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from groundgraph.errors import InputError
from groundgraph.models.hub import PREPARATION

if TYPE_CHECKING:
    from transformers import ViTImageProcessorPil

HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # ALBEF's, BLIP's too


def image_processor(
    size: tuple[int, int],
    mean: Sequence[float] = HALF,
    std: Sequence[float] = HALF,
    resample: int = Image.Resampling.BICUBIC,
) -> ViTImageProcessorPil:
    """Return a processor that resizes without keeping the aspect, so that a tower's grid covers the whole picture.

    Args:
        size: Height and width in pixels.
        mean: Of the RGB channels, in 0 to 1.
        std: Of the RGB channels, in 0 to 1.
        resample: Pillow's filter.
    """
    from transformers import ViTImageProcessorPil

    return ViTImageProcessorPil(
        size={"height": size[0], "width": size[1]}, image_mean=list(mean), image_std=list(std), resample=int(resample)
    )


def load_image_processor(
    model: str,
    default_size: int | None = None,
    mean: Sequence[float] = HALF,
    std: Sequence[float] = HALF,
    image_size: int | None = None,
) -> ViTImageProcessorPil:
    """Return a pretrained model's processor without its centre crop: pictures are resized to the crop's size.

    Args:
        model: A local folder or hub id.
        default_size: Side in pixels where the model has no such settings; None: it must have them.
        mean: Of the RGB channels where the settings say nothing.
        std: Of the RGB channels where the settings say nothing.
        image_size: Side in pixels instead of the model's own.

    Raises:
        InputError: There are no settings and no default size, or they are not readable.
    """
    from transformers import ViTImageProcessorPil

    files = [Path(model) / name for name in PREPARATION if (Path(model) / name).is_file()]
    try:
        settings, _ = ViTImageProcessorPil.get_image_processor_dict(model)
        size = _height_width(settings.get("crop_size") or settings["size"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        if files:
            raise InputError(f"{files[0]} is not a readable image processor's file ({error!r})") from error
        if default_size is None:
            raise InputError(
                f"{model} holds no {PREPARATION[0]}: it says how pictures are resized; add one to the folder"
            ) from error
        settings, size = {}, (default_size, default_size)
    return image_processor(
        (image_size, image_size) if image_size else size,
        settings.get("image_mean") or mean,
        settings.get("image_std") or std,
        settings.get("resample", Image.Resampling.BICUBIC),
    )


def pixel_values(
    processor: ViTImageProcessorPil, images: Sequence[Image.Image], device: torch.device | None = None, scale: int = 1
) -> torch.Tensor:
    """Return what `processor(images)` does, to the bit, in half the time: pictures of any sizes and modes together.

    Args:
        processor: How.
        images: B pictures.
        device: Where it goes, as bytes, a quarter of what the floats are that they become there; None: nowhere.
        scale: How many times the processor's size.

    Returns:
        [B, 3, height, width] float32.
    """
    size = (scale * processor.size["width"], scale * processor.size["height"])
    resized = [np.asarray(image.convert("RGB").resize(size, processor.resample)) for image in images]
    return normalise(processor, torch.from_numpy(np.stack(resized)).to(device or "cpu"))


def normalise(processor: ViTImageProcessorPil, pixels: torch.Tensor) -> torch.Tensor:
    """Return pictures of the right size, [B, H, W, 3] uint8, as a model's input: [B, 3, H, W] float32."""
    mean, std = (torch.tensor(v, device=pixels.device) for v in (processor.image_mean, processor.image_std))
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def _height_width(size: int | dict[str, int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if "height" in size:
        return size["height"], size["width"]
    return size["shortest_edge"], size["shortest_edge"]
