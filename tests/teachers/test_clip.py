"""Region and entity features of a tiny CLIP in transformers' own format, against crops and sentences done by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from groundgraph.data.types import Entity, Regions
from groundgraph.errors import InputError
from groundgraph.models.inference import fold_batch_norms
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.teachers.feature_map import MAP_SCALE, feature_map
from groundgraph.teachers.pixels import pixel_values
from groundgraph.vision.pooling import pool_regions

OUTPUT = SimpleNamespace(last_hidden_state=torch.zeros(1, 5, 4))
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


def test_a_map_gives_a_place_what_the_last_layer_makes_of_it_alone(folder):
    model = ImageTextModel(folder, features="map")
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8).astype(np.uint8))
    grid = np.array([[0, 0, 8, 8], [24, 16, 32, 24], [0, 0, 32, 32]], np.float32)  # two of 4 x 4 cells, and all
    rows = model.region_features(
        [image], [Regions(grid, np.zeros(3, np.int64), np.ones(3), np.zeros((3, 1)), (32, 32))]
    )
    clip, (layer,) = model.model, model.model.vision_model.encoder.layers
    pixels = pixel_values(model.image_processor, [image], scale=MAP_SCALE)
    assert pixels.shape == (1, 3, 16, 16)
    with torch.no_grad():
        states = clip.vision_model.pre_layrnorm(clip.vision_model.embeddings(pixels, interpolate_pos_encoding=True))[0]
        wanted = []
        for state in states[1:]:  # each by itself: a token that attends to itself alone gets its own value
            normed = layer.layer_norm1(state[None, None])
            state = state + layer.self_attn(normed, attention_mask=None)[0][0, 0]
            state = state + layer.mlp(layer.layer_norm2(state))
            wanted.append(clip.visual_projection(clip.vision_model.post_layernorm(state)))
    wanted = torch.stack(wanted).view(4, 4, -1)
    maps = feature_map(clip, pixels).detach()[0].permute(1, 2, 0)
    torch.testing.assert_close(maps, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows[0], axis=1), 1, atol=1e-5)
    (whole,) = pool_regions(maps.permute(2, 0, 1)[None], [torch.tensor([[0, 0, 1, 1.0]])])
    np.testing.assert_allclose(rows[0][2], torch.nn.functional.normalize(whole)[0].numpy(), atol=1e-5)


def test_a_convolutional_tower_s_map_has_its_pooled_vector_as_mean():
    model = ImageTextModel("bundled:clip")
    pixels = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        maps = feature_map(model.model, pixels)
        pooled = model.model.get_image_features(pixel_values=pixels)
    pooled = pooled if isinstance(pooled, torch.Tensor) else pooled.pooler_output
    torch.testing.assert_close(maps.mean((2, 3)), pooled, rtol=1e-3, atol=1e-4)


def test_a_tower_without_places_is_refused():
    tower = SimpleNamespace(config=SimpleNamespace(model_type="swin"))
    tower = type("Tower", (), {"config": tower.config, "__call__": lambda self, pixel_values: OUTPUT})()
    model = SimpleNamespace(vision_model=tower, visual_projection=None, config=SimpleNamespace(model_type="dual"))
    with pytest.raises(InputError, match="take crops"):
        feature_map(model, torch.zeros(1, 3, 8, 8))


def test_batch_norms_are_folded_into_the_convolutions_before_them():
    torch.manual_seed(0)
    pair = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    alone = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm2d(4), "conv": torch.nn.Conv2d(4, 4, 1)})
    model = torch.nn.ModuleDict({"pair": pair, "alone": alone}).eval()
    pair[1].running_mean.normal_(), pair[1].running_var.uniform_(0.5, 2)
    pixels = torch.rand(1, 3, 8, 8)
    before = pair(pixels)
    assert fold_batch_norms(model) == 1 and isinstance(pair[1], torch.nn.Identity)
    torch.testing.assert_close(pair(pixels), before, rtol=1e-4, atol=1e-5)
    assert isinstance(alone["norm"], torch.nn.BatchNorm2d)
