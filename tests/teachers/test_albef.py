import pytest
import torch
from tiny_albef import TOWERS, tiny_model
from transformers import AutoModel, BertConfig, ResNetConfig

from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.cross_attention import grid_of

IDS = torch.tensor(
    [[[2, 5, 7, 12, 5, 9, 3, 0], [2, 6, 8, 12, 3, 0, 0, 0]], [[2, 5, 10, 3, 0, 0, 0, 0], [2, 6, 11, 3, 0, 0, 0, 0]]]
)
MASK = (IDS > 0).long()


@pytest.mark.parametrize("tower", TOWERS)
def test_shapes_and_grid(tower):
    model = tiny_model(tower)
    image = model.image_states(torch.randn(2, 3, 24, 24))
    extra = {"resnet": 0, "vit": 1}[tower]
    assert (image.grid, image.extra) == ((3, 3), extra)
    assert image.states.shape == (2, 9 + extra, 16)
    assert model.text_states(IDS, MASK).shape == (2, 2, 8, 16)
    assert model(torch.randn(2, 3, 24, 24), IDS, MASK).shape == (2, 2, 2)


@pytest.mark.parametrize("tower", TOWERS)
def test_saved_and_loaded_model_answers_the_same(tower, tmp_path):
    model = tiny_model(tower)
    model.save_pretrained(tmp_path)
    assert [f.name for f in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    pixels = torch.randn(2, 3, 24, 24)
    for loaded in (AlbefModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        loaded.eval()
        assert type(loaded) is AlbefModel and loaded.config.fusion_layer == 2
        torch.testing.assert_close(loaded(pixels, IDS, MASK), model(pixels, IDS, MASK))
        assert loaded.words.predictions.decoder.weight is loaded.embeddings.word_embeddings.weight


def test_captions_share_the_image_without_seeing_each_other():
    model = tiny_model("vit")
    pixels = torch.randn(2, 3, 24, 24)
    together = model(pixels, IDS, MASK)
    alone = torch.stack(
        [
            model(pixels[b : b + 1], IDS[b : b + 1, k : k + 1], MASK[b : b + 1, k : k + 1])[0, 0]
            for b in range(2)
            for k in range(2)
        ]
    )
    torch.testing.assert_close(together.flatten(0, 1), alone, atol=1e-5, rtol=1e-4)


def test_words_see_both_ways_and_padding_is_blind():
    model = tiny_model("resnet")
    changed = IDS.clone()
    changed[0, 0, 5] = 10  # a later word: an earlier one must feel it, so nothing is causal
    before, after = model.text_states(IDS, MASK), model.text_states(changed, MASK)
    assert (before[0, 0, 1] - after[0, 0, 1]).abs().max() > 1e-4
    padded = IDS.clone()
    padded[0, 1, 6] = 10  # behind the mask
    torch.testing.assert_close(model.text_states(padded, MASK)[0, 1, :5], before[0, 1, :5])


def test_a_tower_of_another_width_gets_an_adapter():
    text = BertConfig(vocab_size=19, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    tower = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    model = AlbefModel(AlbefConfig(tower, text, fusion_layer=1, projection_dim=0))
    assert model.image_states(torch.randn(1, 3, 24, 24)).states.shape[-1] == 16
    assert not hasattr(model, "word_projection")


def test_layers_out_of_range_are_refused():
    text = BertConfig(num_hidden_layers=4)
    with pytest.raises(ValueError, match="fusion_layer is 4"):
        AlbefConfig(text_config=text, fusion_layer=4)
    with pytest.raises(ValueError, match="cam_layer is 1"):
        AlbefConfig(text_config=text, fusion_layer=2, cam_layer=1)


def test_grids_of_token_towers():
    class Patches:
        model_type, patch_size = "vit", 16

    class Merging:  # Swin merges 4-px patches down to a stride of 32
        model_type, patch_size = "swin", 4

    assert grid_of((384, 384), 577, Patches) == ((24, 24), 1)
    assert grid_of((224, 112), 98, Patches) == ((14, 7), 0)
    assert grid_of((224, 224), 49, Merging) == ((7, 7), 0)
    with pytest.raises(ValueError, match="no grid fits"):
        grid_of((224, 224), 300, Patches)
