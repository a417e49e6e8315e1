import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_albef import save_tiny, tiny_tokenizer
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipImageProcessor,
    BlipProcessor,
)

from groundgraph.data.types import Entity, ParsedCaption, Regions
from groundgraph.teachers.blip import BlipMatcher
from groundgraph.teachers.gradcam import gradcam
from groundgraph.teachers.interaction import InteractionTeacher, interaction_targets, region_scores
from groundgraph.teachers.pixels import pixel_values

SIZE = {"height": 24, "width": 24}


def tiny_blip(kind=BlipForImageTextRetrieval, layers=4, **text):
    torch.manual_seed(0)
    heads = dict(num_attention_heads=2, intermediate_size=32)
    ends = dict(vocab_size=19, max_position_embeddings=16, bos_token_id=2, sep_token_id=3)
    words = heads | ends | dict(hidden_size=16, num_hidden_layers=layers, initializer_range=0.4) | text
    # Of another width than the text, as in the large model.
    vision = heads | dict(hidden_size=24, num_hidden_layers=2, image_size=24, patch_size=8, initializer_range=0.3)
    config = BlipConfig(text_config=words, vision_config=vision, image_text_hidden_size=8, initializer_range=0.4)
    return kind(config).eval()


def save_blip(folder, **kwargs):
    """In transformers' own format, with its processor."""
    model = tiny_blip(**kwargs)
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size=SIZE), tiny_tokenizer()).save_pretrained(folder)
    return model


def caption(text, *words):
    starts = [text.index(word) for word in words]
    spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    return ParsedCaption(text, tuple(Entity(w, w, w, span, span) for w, span in zip(words, spans, strict=True)))


def picture(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8))


def naive(model, processor, image, text, rows, layer, pixels):
    """transformers' own forward of one caption, one full backward for one entity's rows: its map, [N - 1]."""
    inputs = processor(images=image, text=text, return_tensors="pt")
    # torchvision rounds a resized pixel another way than Pillow now and then: one level of 255.
    torch.testing.assert_close(inputs["pixel_values"], pixels, atol=1.01 / 255 / 0.26, rtol=0)
    inputs["pixel_values"] = pixels
    pixels = model.vision_model(inputs["pixel_values"]).last_hidden_state
    out = model.text_encoder(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        encoder_hidden_states=pixels,
        encoder_attention_mask=torch.ones(pixels.shape[:2], dtype=torch.long),
        output_attentions=True,
    )
    score = model.itm_head(out.last_hidden_state[:, 0])[0, 1]
    own = model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"],
                attention_mask=inputs["attention_mask"]).itm_score[0, 1]  # fmt: skip
    torch.testing.assert_close(score, own)
    attention = out.cross_attentions[layer]  # [1, heads, T, N]
    (gradient,) = torch.autograd.grad(score, attention)
    product = (attention * gradient.clamp(min=0))[0].mean(0)
    return product[rows].mean(0)[1:].detach().numpy()


@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_gradcam_equals_transformers_own_forward(tmp_path, layer):
    model = save_blip(tmp_path)
    processor = BlipProcessor.from_pretrained(tmp_path)
    teacher = InteractionTeacher(str(tmp_path), layer=layer)
    assert teacher.model.layer == (2 if layer is None else layer)
    captions = [
        [caption("a man riding a brown horse", "man", "horse"), caption("two wagons", "wagons")],
        [caption("the dog", "dog")],
    ]
    rows = [[[[2], [6]], [[2, 3, 4]]], [[[2]]]]  # the entities' pieces; [CLS] is piece 0
    pictures = [picture(0), picture(1)]
    maps = teacher.model.activation_maps(pictures, captions)
    for i, texts in enumerate(captions):
        pixels = pixel_values(teacher.model.image_processor, [pictures[i]])
        for k, text in enumerate(texts):
            for e in range(len(text.entities)):
                hand = naive(model, processor, pictures[i], text.text, rows[i][k][e], teacher.model.layer, pixels)
                assert hand.max() > 0
                np.testing.assert_allclose(maps[i][k][e].ravel(), hand, rtol=1e-3, atol=1e-8)
    found = [Regions(np.array([[0, 0, 20, 30], [10, 10, 40, 30]], np.float32), np.zeros(2, np.int64),
                     np.ones(2, np.float32), np.zeros((2, 3), np.float32), (40, 30))] * 2  # fmt: skip
    targets = teacher.targets(pictures, found, captions)
    hand = interaction_targets(region_scores(maps[0][0], found[0].boxes, (40, 30)), 1.0)
    np.testing.assert_allclose(targets[0][0], hand, rtol=1e-4)


def test_match_logits_equal_transformers():
    model = tiny_blip()
    ids, pixels = torch.tensor([[[2, 5, 7, 3], [2, 6, 3, 0]]]), torch.randn(1, 3, 24, 24)
    mask = (ids > 0).long()
    ours = BlipMatcher(model)(pixels, ids, mask)[0]
    theirs = model(input_ids=ids[0], pixel_values=pixels.expand(2, -1, -1, -1), attention_mask=mask[0]).itm_score
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_other_sizes_interpolate(tmp_path):
    save_blip(tmp_path)
    teacher = InteractionTeacher(str(tmp_path), image_size=40)
    (((dog,),),) = teacher.model.activation_maps([picture(0)], [[caption("the dog", "dog")]])
    assert dog.shape == (5, 5) and dog.max() > 0
    teacher = InteractionTeacher(str(tmp_path), image_size=44)
    with pytest.raises(ValueError, match="multiples of its patch, 8"):
        teacher.model.activation_maps([picture(0)], [[caption("the dog", "dog")]])


@pytest.mark.parametrize(("layers", "default"), [(12, 7), (24, 14), (4, 2), (2, 0), (1, 0)])
def test_default_layer(layers, default):
    assert BlipMatcher(tiny_blip(layers=layers)).cam_layer == default


def test_the_image_settings_of_older_folders_are_read_too(tmp_path):
    save_blip(tmp_path)
    settings = json.loads((tmp_path / "processor_config.json").read_text())["image_processor"]
    (tmp_path / "processor_config.json").unlink()
    bare = InteractionTeacher(str(tmp_path)).model.image_processor
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"size": {"height": 32, "width": 16}}))
    own = InteractionTeacher(str(tmp_path)).model.image_processor
    assert bare.size == {"height": 24, "width": 24} and own.size == {"height": 32, "width": 16}
    assert list(bare.image_mean) == list(own.image_mean) == settings["image_mean"]


def test_models_that_cannot_look_are_refused(tmp_path):
    save_blip(tmp_path / "captioner", kind=BlipForConditionalGeneration)
    with pytest.raises(ValueError, match="no BLIP for image-text retrieval: it lacks"):
        InteractionTeacher(str(tmp_path / "captioner"))
    with pytest.raises(ValueError, match="no cross-attention"):
        BlipMatcher(tiny_blip(is_decoder=False))
    save_blip(tmp_path / "blip")
    with pytest.raises(ValueError, match="layer 4 does not cross-attend: layers 0 to 3 do"):
        InteractionTeacher(str(tmp_path / "blip"), layer=4)


@pytest.mark.parametrize("kind", ["albef", "blip"])
def test_the_last_layer_is_refused_with_those_that_work(tmp_path, kind):
    _ = save_tiny(tmp_path, "vit") if kind == "albef" else save_blip(tmp_path)
    with pytest.raises(ValueError, match=r"layer 3 is the last one.*choose one of"):
        InteractionTeacher(str(tmp_path), layer=3)


@pytest.mark.parametrize("layer", [1, 2])
def test_only_layers_from_the_cam_layer_up_keep_a_graph(layer):
    model = BlipMatcher(tiny_blip())
    kept = {}
    model.tower.register_forward_hook(lambda m, i, o: kept.update(tower=o.last_hidden_state.requires_grad))
    for number, block in enumerate(model.layers):
        block.output.register_forward_hook(lambda m, i, o, n=number: kept.update({n: o.requires_grad}))
    with torch.no_grad():
        image = model.image_states(torch.randn(1, 3, 24, 24))
    ids = torch.tensor([[[2, 5, 7, 3]]])
    gradcam(model, image, ids, torch.ones_like(ids), layer)
    assert kept == {"tower": False} | {n: n >= layer for n in range(4)}
    assert all(p.grad is None for p in model.parameters())
