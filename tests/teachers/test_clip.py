"""Region and entity features of a tiny CLIP in transformers' own format, against crops and sentences done by hand."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from groundgraph.data.types import Entity, Regions
from groundgraph.teachers.expert import ImageTextModel

WORDS = ["<pad>", "<unk>", "<end>", "a", "photo", "of", "the", "horse", "brown", "dog", "one"]


def save_clip(folder):
    """In transformers' own format, with its tokenizer and how pictures are prepared."""
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>", model_max_length=12
    ).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=small | {"vocab_size": len(WORDS), "max_position_embeddings": 12, "eos_token_id": 2},
        vision_config=small | {"image_size": 8, "patch_size": 4},
        projection_dim=6,
    )
    CLIPModel(config).save_pretrained(folder)
    settings = {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}, "image_mean": [0.1, 0.2, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"image_std": [0.5, 0.6, 0.7]}))
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def entity(name, text):
    return Entity(text, name, name, (0, len(text)), (0, len(text)))


def test_regions_are_cropped_resized_and_normalised(folder):
    model = ImageTextModel(folder)
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8).astype(np.uint8))
    boxes = np.array([[4, 6, 20, 22], [-5, -5, 60, 60]], np.float32)
    found = Regions(boxes, np.zeros(2, np.int64), np.ones(2), np.zeros((2, 1)), (40, 30))
    none = Regions(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 1)), (40, 30))
    first, second = model.region_features([image, image], [found, none])
    assert first.shape == (2, 6) and second.shape == (0, 6)
    for row, box in zip(first, [(4, 6, 20, 22), (0, 0, 40, 30)], strict=True):
        pixels = np.asarray(image.crop(box).resize((8, 8), Image.Resampling.BICUBIC), np.float32) / 255
        pixels = (pixels - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
        states = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            wanted = model.model.visual_projection(model.model.vision_model(states).pooler_output)[0]
        np.testing.assert_allclose(row, (wanted / wanted.norm()).numpy(), atol=2e-2)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)


def test_entities_are_put_into_prompts_and_averaged(folder):
    model = ImageTextModel(folder, ("a photo of a {name}", "the {text}"))
    horse, dog = entity("horse", "brown horse"), entity("dog", "one dog")
    found = model.entity_features([horse, dog, horse])
    assert found.shape == (3, 6) and np.allclose(found[0], found[2])

    def sentence(text):
        encoded = model.tokenizer([text], return_tensors="pt")
        with torch.no_grad():
            state = model.model.text_projection(model.model.text_model(**encoded).pooler_output)[0]
        return (state / state.norm()).numpy()

    mean = sentence("a photo of a horse") + sentence("the brown horse")
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert model.entity_features([]).shape == (0, 6)


def test_what_is_no_image_text_model_or_no_prompt_is_refused(folder):
    with pytest.raises(ValueError, match="nothing else"):
        ImageTextModel(folder, ("a {noun}",))
    with pytest.raises(ValueError, match="without image and text features"):
        ImageTextModel("bundled:text")
    with pytest.raises(ValueError, match="does not exist"):
        ImageTextModel("/nowhere/at/all")


def test_the_bundled_one_loads():
    model = ImageTextModel()
    assert model.entity_features([entity("horse", "horse")]).shape == (1, model.width)
