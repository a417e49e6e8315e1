import numpy as np
import torch
from transformers import BertConfig, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

from groundgraph.experts.train_clip import contrast, cut, random_boxes
from groundgraph.teachers.image_text import FlatResNetConfig


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
    loaded = VisionTextDualEncoderModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded.get_image_features(pixels).pooler_output, features)


def test_a_crop_of_the_whole_picture_is_the_picture():
    images = torch.randint(0, 255, (2, 8, 8, 3), dtype=torch.uint8)
    whole = torch.tensor([[0.0, 0, 8, 8], [2, 0, 6, 4]])
    torch.testing.assert_close(cut(images, whole, 8)[0], images[0].permute(2, 0, 1).float(), atol=1e-3, rtol=0)
    part = cut(images, whole, 4)[1]
    torch.testing.assert_close(part, images[1, 0:4, 2:6].permute(2, 0, 1).float(), atol=1e-3, rtol=0)


def test_random_boxes_lie_inside():
    boxes = random_boxes(500, 112, np.random.default_rng(0))
    assert boxes.min() >= 0 and boxes.max() <= 112 and (boxes[:, 2:] > boxes[:, :2]).all()


def test_contrast_by_hand():
    names, colours = np.array(["car", "car", "dog"]), np.array(["", "red", ""])
    logits = torch.tensor([[2.0, 5.0, 0.0], [1.0, 3.0, 0.0], [0.0, 1.0, 4.0]])
    # Crop 0 (no colour known) against "red car" is left out; crop 1 fits "car" and "red car".
    e = np.exp
    rows = [
        -np.log(e(2) / (e(2) + 1)),
        -0.5 * (np.log(e(1) / (e(1) + e(3) + 1)) + np.log(e(3) / (e(1) + e(3) + 1))),
        -np.log(e(4) / (1 + e(1) + e(4))),
    ]
    columns = [
        -0.5 * (np.log(e(2) / (e(2) + e(1) + 1)) + np.log(e(1) / (e(2) + e(1) + 1))),
        -np.log(e(3) / (e(3) + e(1))),
        -np.log(e(4) / (e(4) + 2)),
    ]
    hand = (np.mean(rows) + np.mean(columns)) / 2
    np.testing.assert_allclose(float(contrast(logits, names, colours)), hand, rtol=1e-4)
