import os

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_albef import tiny_tokenizer
from tiny_original import match_logits, state_dict

from groundgraph.data.types import Entity, ParsedCaption, Regions
from groundgraph.teachers.albef_checkpoint import albef_tokenizer, load_checkpoint
from groundgraph.teachers.gradcam import gradcam
from groundgraph.teachers.interaction import InteractionTeacher, interaction_targets, region_scores

IDS = torch.tensor([[[2, 5, 7, 12, 5, 9], [2, 6, 8, 12, 0, 0]], [[2, 5, 10, 0, 0, 0], [2, 6, 11, 13, 14, 0]]])
MASK = (IDS > 0).long()
LAYOUTS = {"ALBEF.pth": True, "refcoco.pth": False}


def save(folder, pretrained=True, nested=True, drop=(), **sizes):
    """A checkpoint file, with the optimizer and settings that training scripts save beside the model."""
    state = {k: v for k, v in state_dict(pretrained=pretrained, **sizes).items() if k not in drop}
    path = folder / ("ALBEF.pth" if pretrained else "refcoco.pth")
    torch.save({"model": state, "config": {"image_res": 24}, "epoch": 3} if nested else state, path)
    return path, state


def save_tokenizer(folder):
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("pretrained", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("nested", [True, False])
def test_forward_equals_the_original_written_out(tmp_path, pretrained, nested):
    path, state = save(tmp_path, pretrained, nested)
    model = load_checkpoint(path).eval()
    config = model.config
    assert (config.vision_config.image_size, config.vision_config.patch_size) == (24, 8)
    assert (config.vision_config.num_hidden_layers, config.vision_config.num_attention_heads) == (2, 2)
    assert (config.text_config.num_hidden_layers, config.text_config.num_attention_heads) == (5, 2)
    assert (config.fusion_layer, model.cam_layer) == (2, 3)
    if pretrained:
        bias = state["text_encoder.cls.predictions.bias"]
        torch.testing.assert_close(model.words.predictions.decoder.bias.data, bias, atol=0, rtol=0)
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(pixels, IDS, MASK)
    spread = logits[..., 1].std()
    for b in range(2):
        for k in range(2):
            hand = match_logits(state, pixels[b : b + 1], IDS[b, k, : MASK[b, k].sum()])
            torch.testing.assert_close(logits[b, k], hand, atol=1e-5, rtol=1e-5)
    assert spread > 0.1  # the inputs do matter


def test_gradcam_equals_the_original_written_out(tmp_path):
    """As ALBEF's demo: the whole model in one graph, attention x positive gradient, mean over heads, no [CLS] patch."""
    path, state = save(tmp_path)
    model = load_checkpoint(path).eval()
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    maps = gradcam(model, model.image_states(pixels), IDS, MASK)
    state = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in state.items()}
    for b in range(2):
        for k in range(2):
            kept, words = [], int(MASK[b, k].sum())
            score = match_logits(state, pixels[b : b + 1], IDS[b, k, :words], kept, layer=3)[1]
            (gradient,) = torch.autograd.grad(score, kept[0])
            hand = (kept[0] * gradient.clamp(min=0)).mean(0)[:, 1:].view(words, 3, 3)
            assert hand.max() > 0
            torch.testing.assert_close(maps[b, k, :words], hand.detach(), atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("side", [(32, 32), (24, 40)])
def test_position_embeddings_interpolate(tmp_path, side):
    """Equal to a checkpoint whose position embeddings were resized beforehand (bicubic, [CLS] kept)."""
    path, state = save(tmp_path)
    model = load_checkpoint(path).eval()
    pixels = torch.randn(1, 3, *side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(pixels, IDS[:1], MASK[:1])
        assert model.image_states(pixels).grid == (side[0] // 8, side[1] // 8)
    old = state["visual_encoder.pos_embed"]
    grid = old[:, 1:].view(1, 3, 3, -1).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, (side[0] // 8, side[1] // 8), mode="bicubic", align_corners=False)
    state["visual_encoder.pos_embed"] = torch.cat([old[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    torch.testing.assert_close(logits[0, 0], match_logits(state, pixels, IDS[0, 0]), atol=1e-5, rtol=1e-5)


def test_default_layer_of_the_released_depth_is_8(tmp_path):
    path, _ = save(tmp_path, layers=12, fusion=6, width=64, depth=1)
    model = load_checkpoint(path)
    assert (model.config.fusion_layer, model.cam_layer) == (6, 8)


def test_captions_are_read_as_albef_reads_them(tmp_path):
    tokenizer = albef_tokenizer(save_tokenizer(tmp_path))
    text = 'The man, "riding" a brown-horse!'
    encoded = tokenizer([text, "dog"], padding=True, return_offsets_mapping=True)
    pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    assert pieces == ["[CLS]", "the", "man", "riding", "a", "brown", "horse"]
    places = [text[a:b] for a, b in encoded["offset_mapping"][0]]
    assert places == ["", "The", "man", "riding", "a", "brown", "horse"]
    assert encoded["attention_mask"][1] == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("image_size", "grid"), [(None, (3, 3)), (40, (5, 5))])
def test_teacher_of_a_checkpoint_file(tmp_path, image_size, grid):
    path, _ = save(tmp_path, pretrained=False, nested=False)
    teacher = InteractionTeacher(str(path), tokenizer=save_tokenizer(tmp_path / "words"), image_size=image_size)
    text = "the man riding a horse."
    entities = [Entity(w, w, w, (s := text.index(w), s + len(w)), (s, s + len(w))) for w in ("man", "horse")]
    captions = [[ParsedCaption(text, tuple(entities))]]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8))
    boxes = np.array([[0, 0, 20, 30], [10, 10, 40, 30], [5, 0, 15, 9]], np.float32)
    found = Regions(boxes, np.zeros(3, np.int64), np.ones(3, np.float32), np.zeros((3, 2), np.float32), (40, 30))
    ((maps,),) = teacher.model.activation_maps([picture], captions)
    assert maps.shape == (2, *grid) and (maps >= 0).all() and (maps.max((1, 2)) > 0).all()
    ((targets,),) = teacher.targets([picture], [found], captions)
    np.testing.assert_allclose(targets, interaction_targets(region_scores(maps, boxes, (40, 30)), 1.0), rtol=1e-4)
    hotter = InteractionTeacher(str(path), temperature=0.2, tokenizer=str(tmp_path / "words"), image_size=image_size)
    ((sharp,),) = hotter.targets([picture], [found], captions)
    np.testing.assert_allclose(sharp, targets**5 / (targets**5).sum(1, keepdims=True), rtol=1e-3)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch $GROUNDGRAPH_TEST_MARK",)


def test_a_malicious_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GROUNDGRAPH_TEST_MARK", str(tmp_path / "mark"))
    state = state_dict(width=64, depth=1, layers=3, fusion=1)
    torch.save({"model": state, "config": Malicious()}, tmp_path / "ALBEF.pth")
    with pytest.raises(ValueError, match=r"ALBEF\.pth: asks for .*system"):
        InteractionTeacher(str(tmp_path / "ALBEF.pth"))
    assert not (tmp_path / "mark").exists()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    with pytest.raises(ValueError, match=r"x\.pth: no such file"):
        InteractionTeacher(str(path))
    for content in (b"", b"not a checkpoint", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.pth: damaged, or not a file that torch.save wrote"):
            load_checkpoint(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ValueError, match="holds a list"):
        load_checkpoint(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"x\.pth is no whole ALBEF checkpoint.*patch_embed"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "name",
    [
        "itm_head.weight",  # as in the question-answering checkpoint
        "visual_encoder.blocks.1.attn.qkv.bias",
        "text_encoder.bert.encoder.layer.4.crossattention.self.key.weight",
        "text_encoder.bert.encoder.layer.3.output.dense.bias",
    ],
)
def test_a_missing_weight_is_named(tmp_path, name):
    path, _ = save(tmp_path, drop=[name])
    with pytest.raises(ValueError, match=rf"ALBEF\.pth .* lacks 1 weights, such as {name}"):
        load_checkpoint(path)


def test_sizes_that_do_not_fit_are_named(tmp_path):
    path, state = save(tmp_path)

    def broken(**changes):
        torch.save(state | {k.replace("__", "."): v for k, v in changes.items()}, path)
        return pytest.raises(ValueError, match=r"ALBEF\.pth")

    with broken(visual_encoder__pos_embed=torch.zeros(1, 9, 128)):
        load_checkpoint(path)
    with broken(itm_head__weight=torch.zeros(2, 64)):
        load_checkpoint(path)
    with broken(visual_encoder__patch_embed__proj__weight=torch.zeros(64, 3, 8, 8)):
        load_checkpoint(path)
    plain = {k: v for k, v in state.items() if "crossattention" not in k}
    torch.save(plain, path)
    with pytest.raises(ValueError, match="no layer of its text encoder has a crossattention"):
        load_checkpoint(path)


def test_tokenizers_that_do_not_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path, _ = save(tmp_path, words=12)
    with pytest.raises(ValueError, match="19 word pieces, but the model only knows 12"):
        InteractionTeacher(str(path), tokenizer=save_tokenizer(tmp_path / "words"))
    with pytest.raises(ValueError, match=r"'\./nowhere'|nowhere does not exist"):
        InteractionTeacher(str(path), tokenizer="./nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="name another with the option `tokenizer`"):
        InteractionTeacher(str(path), tokenizer=str(tmp_path / "empty"))
