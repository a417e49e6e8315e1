"""Pictures to a model's input, by the model's own preprocessor_config.json, with Pillow and NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from groundgraph.errors import InputError

FILE = "preprocessor_config.json"
PROCESSOR = "processor_config.json"  # where transformers 5 saves the settings of a model's text and image side together
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # ALBEF's, BLIP's too


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
    def from_pretrained(
        cls, model: str, default_size: int | None = None, mean: tuple = HALF, std: tuple = HALF
    ) -> Preparation:
        """Read a model's settings; `model` is a local folder or a hub id. What it leaves unsaid is as given here.

        A centre crop in the settings is left out: it would cut regions off. Raises InputError where no settings are
        found and no default size is given, or where they are not readable.
        """
        path = _file(model, FILE) or _file(model, PROCESSOR)
        if path is None:
            if default_size is None:
                raise InputError(f"{model} holds no {FILE}: it says how pictures are resized; add one to the folder")
            return cls((default_size, default_size), mean, std)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings = settings["image_processor"] if path.name == PROCESSOR else settings
            return cls(
                _size(settings.get("crop_size") or settings["size"]),
                tuple(settings.get("image_mean") or mean),
                tuple(settings.get("image_std") or std),
                settings.get("resample", Image.Resampling.BICUBIC),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not a readable image processor's file ({error})") from error

    def resized(self, side: int | None) -> Preparation:
        """The same with pictures of side x side pixels; None leaves the size as it is."""
        return self if side is None else replace(self, size=(side, side))

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


def _file(model: str, name: str) -> Path | None:
    """A file of a local folder, or of a hub id (cached or fetched); None where it has none."""
    path = Path(model) / name
    if path.is_file() or Path(model).is_dir():
        return path if path.is_file() else None
    from transformers.utils import cached_file

    found = cached_file(model, name, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found else None


def _size(value: int | dict) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if "height" in value:
        return value["height"], value["width"]
    return value["shortest_edge"], value["shortest_edge"]
