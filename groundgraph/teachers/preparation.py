"""Pictures to a model's input, by the model's own preprocessor_config.json, with Pillow and NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

FILE = "preprocessor_config.json"
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Preparation:
    """Resize and normalise pictures for an image tower.

    size  (height, width) in pixels; the aspect is not kept, so that the tower's grid covers the whole picture
    mean, std  of the RGB channels, in 0..1
    resample   Pillow's filter
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    resample: int = Image.Resampling.BICUBIC

    @classmethod
    def from_pretrained(cls, model: str, default_size: int | None = None) -> Preparation:
        """Read a model's settings; `model` is a local folder or a hub id.

        A centre crop in the settings is left out: it would cut regions off. Raises ValueError where no settings are
        found and no default size is given, or where they are not readable.
        """
        path = Path(model) / FILE
        if not path.is_file() and not Path(model).is_dir():
            from transformers.utils import cached_file

            found = cached_file(model, FILE, _raise_exceptions_for_missing_entries=False)
            path = Path(found) if found else path
        if not path.is_file():
            if default_size is None:
                raise ValueError(f"{model} holds no {FILE}: it says how pictures are resized; add one to the folder")
            return cls((default_size, default_size))
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                _size(settings.get("crop_size") or settings["size"]),
                tuple(settings.get("image_mean") or HALF),
                tuple(settings.get("image_std") or HALF),
                settings.get("resample", Image.Resampling.BICUBIC),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a readable image processor's file ({error})") from error

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the settings as the preprocessor_config.json that transformers' image processors read too."""
        settings = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "rescale_factor": 1 / 255,
            "size": {"height": self.size[0], "width": self.size[1]},
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "resample": int(self.resample),
        }
        (Path(folder) / FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def __call__(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Pictures of any sizes and modes -> [B, 3, height, width] float32."""
        height, width = self.size
        rows = [np.asarray(image.convert("RGB").resize((width, height), self.resample)) for image in images]
        return self.normalise(torch.from_numpy(np.stack(rows)))

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, H, W, 3] uint8 of the right size -> [B, 3, H, W] float32."""
        mean, std = (torch.tensor(v, dtype=torch.float32) for v in (self.mean, self.std))
        return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def _size(value: int | dict) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if "height" in value:
        return value["height"], value["width"]
    return value["shortest_edge"], value["shortest_edge"]
