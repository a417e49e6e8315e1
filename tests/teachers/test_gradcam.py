import pytest
import torch
from tiny_albef import TOWERS, tiny_model

from groundgraph.teachers.gradcam import gradcam

IDS = torch.tensor(
    [[[2, 5, 7, 12, 5, 9, 3], [2, 6, 8, 12, 3, 0, 0]], [[2, 5, 10, 3, 0, 0, 0], [2, 6, 11, 12, 9, 3, 0]]]
)
MASK = (IDS > 0).long()


def one_by_one(model, pixels, ids, mask, number):
    """Independent: one caption, the whole model in one graph, a hook that keeps the probabilities."""
    kept = []
    module = model.layers[number].crossattention.self
    hook = module.register_forward_hook(lambda m, i, o: kept.append(o[1]))
    logits = model(pixels, ids[None, None], mask[None, None])
    hook.remove()
    (attention,) = kept
    (gradient,) = torch.autograd.grad(logits[0, 0, 1], attention)
    product = attention[0] * torch.where(gradient[0] > 0, gradient[0], torch.zeros(()))
    return product.sum(0) / attention.shape[1]  # [T, N]


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("number", [2, 3])
def test_one_backward_equals_one_a_caption(tower, number):
    model, pixels = tiny_model(tower), torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        image = model.image_states(pixels)
    maps = gradcam(model, image, IDS, MASK, number)
    assert maps.shape == (2, 2, 7, 3, 3) and not maps.requires_grad
    for b in range(2):
        for k in range(2):
            words = int(MASK[b, k].sum())
            expected = one_by_one(model, pixels[b : b + 1], IDS[b, k, :words], MASK[b, k, :words], number)
            own = maps[b, k, :words].flatten(1)
            torch.testing.assert_close(own, expected[:, image.extra :], atol=1e-6, rtol=1e-3)


def test_the_last_layer_says_nothing_of_words():
    """A word's attention in the last layer has no path to [CLS], so only row 0 is alive there."""
    model = tiny_model("resnet")
    maps = gradcam(model, model.image_states(torch.randn(2, 3, 24, 24)), IDS, MASK, 3)
    assert maps[:, :, 1:].abs().max() == 0
    assert maps[:, :, 0].max() > 0
    assert gradcam(model, model.image_states(torch.randn(2, 3, 24, 24)), IDS, MASK)[:, :, 1:3].max() > 0


def test_frozen_weights_do_not_matter_and_none_gets_a_gradient():
    model, pixels = tiny_model("vit"), torch.randn(2, 3, 24, 24)
    free = gradcam(model, model.image_states(pixels), IDS, MASK)
    assert all(p.grad is None for p in model.parameters())
    model.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(gradcam(model, model.image_states(pixels), IDS, MASK), free)


def test_only_layers_from_the_cam_layer_up_keep_a_graph():
    model, kept = tiny_model("vit"), {}
    for number, block in enumerate(model.layers):
        block.output.register_forward_hook(lambda m, i, o, n=number: kept.update({n: o.requires_grad}))
    pixels = torch.randn(2, 3, 24, 24).requires_grad_()
    image = model.image_states(pixels)  # even where the caller kept the tower's graph
    gradcam(model, image, IDS, MASK, 2)
    assert kept == {0: False, 1: False, 2: True, 3: True}
    assert pixels.grad is None and image.states.grad_fn is not None
    assert all(p.grad is None for p in model.parameters())


def test_a_layer_without_cross_attention_is_refused():
    model = tiny_model("resnet")
    with pytest.raises(ValueError, match="layer 1 does not cross-attend: layers 2 to 3 do"):
        gradcam(model, model.image_states(torch.randn(2, 3, 24, 24)), IDS, MASK, 1)
