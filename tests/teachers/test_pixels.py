"""Pictures become a model's input as transformers' own processor makes it, to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from groundgraph.models import resolve
from groundgraph.teachers.pixels import CLIP_MEAN, CLIP_STD, HALF, image_processor, load_image_processor, pixel_values


@pytest.mark.parametrize(("mean", "std"), [(HALF, (0.25, 0.25, 0.25)), (CLIP_MEAN, CLIP_STD)])
@pytest.mark.parametrize("resample", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])
def test_pixels_equal_the_processors_own(mean, std, resample):
    processor = image_processor((24, 40), mean, std, resample)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((30, 50), (24, 40), (7, 9))]
    images.append(Image.fromarray(rng.integers(0, 256, (20, 30), dtype=np.uint8)).convert("P"))
    pixels = pixel_values(processor, images)
    assert torch.equal(pixels, processor([i.convert("RGB") for i in images], return_tensors="pt")["pixel_values"])
    assert pixels.shape == (4, 3, 24, 40) and pixels.dtype == torch.float32


def test_a_saved_processor_is_loaded_without_its_crop(tmp_path):
    image_processor((24, 40), CLIP_MEAN, CLIP_STD).save_pretrained(tmp_path)
    assert load_image_processor(str(tmp_path)).to_dict() == image_processor((24, 40), CLIP_MEAN, CLIP_STD).to_dict()
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 256}, "crop_size": 224}')
    cropped = load_image_processor(str(tmp_path))
    assert cropped.size == {"height": 224, "width": 224} and tuple(cropped.image_mean) == HALF
    assert load_image_processor(resolve("bundled:vl"), image_size=64).size == {"height": 64, "width": 64}


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds no preprocessor_config\.json.*add one"):
        load_image_processor(str(tmp_path))
    assert load_image_processor(str(tmp_path), 32).size == {"height": 32, "width": 32}
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessor_config\.json is not a readable"):
        load_image_processor(str(tmp_path), 32)
