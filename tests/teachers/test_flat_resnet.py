"""The image-text model's tower as a part of transformers, and the bundled model."""

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, BertConfig, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

from groundgraph.models import resolve
from groundgraph.teachers.flat_resnet import FlatResNetConfig
from groundgraph.teachers.pixels import load_image_processor
from tools.corpus import draw
from tools.train_clip import PREPARATION, evaluate


def test_flat_resnet_serves_a_dual_encoder(tmp_path):
    torch.manual_seed(0)
    vision = FlatResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", hidden_size=8)
    text = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = VisionTextDualEncoderModel(
        VisionTextDualEncoderConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=6)
    ).eval()
    pixels = torch.randn(2, 3, 24, 24)
    features = model.get_image_features(pixels).pooler_output
    assert features.shape == (2, 6)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded.get_image_features(pixels).pooler_output, features)


def test_the_bundled_model_names_true_crops():
    torch.set_num_threads(1)
    folder = resolve("bundled:clip")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    assert {t.dtype for t in load_file(f"{folder}/model.safetensors").values()} <= {torch.float16, torch.int64}
    assert load_image_processor(folder).to_dict() == PREPARATION.to_dict()
    figures = evaluate(model, AutoTokenizer.from_pretrained(folder), draw("heldout", 60, processes=1))
    # The card's figures, on 1,000 pictures, are above the floors with more room.
    assert figures["category of a true crop among all categories"] > 0.55
    assert figures["the same, in other words, categories with synonyms"] > 0.45
    assert figures["colour of a true crop, its noun given"] > 0.7
