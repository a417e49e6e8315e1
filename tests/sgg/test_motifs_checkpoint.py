"""Motifs as released: its parameters are counted, and a checkpoint of the released code's names fits it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, some_regions

from groundgraph.errors import InputError
from groundgraph.sgg import new_model
from groundgraph.sgg.batch import Sizes, collate, ordered_pairs
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.motifs_checkpoint import RELEASED, read_motifs, start_from_release
from groundgraph.sgg.storing import load_sgg, save_sgg
from groundgraph.stages.recipe import find_recipe, load_recipe

WIDTHS = {"hidden": 8, "lstm_width": 6, "pair": 10, "embedded": 4, "union": "none", "order": "right-left"}
CONFIG = MotifsConfig(**RELEASED, **WIDTHS, dropout_on="decoder", dropout=0.0)


def released(features=6, detector=4, categories=5, predicates=3, hidden=8, width=6, pair=10, embedded=4):
    """The released code's tensors, by its names, at random."""
    generator, out = torch.Generator().manual_seed(0), {}

    def add(name, *shape):
        out[name] = torch.randn(shape, generator=generator) * 0.3

    def layer(name, inputs, outputs):
        add(f"{name}.weight", outputs, inputs)
        add(f"{name}.bias", outputs)

    def lstm(name, inputs):
        for ending in ("l0", "l0_reverse"):
            add(f"{name}.weight_ih_{ending}", 4 * width, inputs)
            add(f"{name}.weight_hh_{ending}", 4 * width, width)
            add(f"{name}.bias_ih_{ending}", 4 * width)
            add(f"{name}.bias_hh_{ending}", 4 * width)

    region, own = features + embedded + 128, "context_layer."
    add(own + "obj_embed1.weight", 1 + detector, embedded)
    add(own + "obj_embed2.weight", 1 + categories, embedded)
    layer(own + "pos_embed.0", 9, 32)
    for part in ("weight", "bias", "running_mean", "running_var"):
        out[f"{own}pos_embed.1.{part}"] = torch.rand(32, generator=generator) + 0.5
    out[f"{own}pos_embed.1.num_batches_tracked"] = torch.tensor(7)
    layer(own + "pos_embed.2", 32, 128)
    lstm(own + "obj_ctx_rnn", region)
    add(own + "decoder_rnn.obj_embed.weight", 2 + categories, embedded)
    layer(own + "decoder_rnn.input_linearity", region + hidden + embedded, 6 * hidden)
    layer(own + "decoder_rnn.state_linearity", hidden, 5 * hidden)
    layer(own + "decoder_rnn.out_obj", hidden, 1 + categories)
    lstm(own + "edge_ctx_rnn", embedded + features + hidden)
    layer(own + "lin_obj_h", 2 * width, hidden)
    layer(own + "lin_edge_h", 2 * width, hidden)
    layer("post_emb", hidden, 2 * hidden)
    layer("post_cat", 2 * hidden, pair)
    layer("rel_compress", pair, 1 + predicates)
    layer("up_dim", 12, pair)  # of the union box, which a model without vision has and never uses
    return out


def plain_logits(w, regions):
    """One image's logits by the released code's formulas and names, region after region: objects, and of every pair."""
    own, sizes = "context_layer.", torch.tensor(regions.size, dtype=torch.float32)
    boxes, features = torch.from_numpy(regions.boxes), torch.from_numpy(regions.features)
    count, hidden = len(boxes), 8

    def layer(name, values):
        return values @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def direction(name, rows, ending):
        state = memory = torch.zeros(6)
        outputs = []
        for row in rows:
            gates = w[f"{name}.weight_ih_{ending}"] @ row + w[f"{name}.bias_ih_{ending}"]
            gates = gates + w[f"{name}.weight_hh_{ending}"] @ state + w[f"{name}.bias_hh_{ending}"]
            enter, keep, new, leave = gates.chunk(4)
            memory = keep.sigmoid() * memory + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * memory.tanh()
            outputs.append(state)
        return torch.stack(outputs)

    def both(name, rows):
        backwards = direction(name, rows.flip(0), "l0_reverse").flip(0)
        return torch.cat([direction(name, rows, "l0"), backwards], 1)

    shares = torch.zeros(count, 5)
    for i, (label, score) in enumerate(zip(regions.labels, regions.scores, strict=True)):
        shares[i, 0] = 1 - float(score)
        shares[i, label + 1] += float(score)
    sides, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    area = sides.prod(1, keepdim=True) / sizes.prod()
    numbers = torch.cat([sides / sizes, centre / sizes, boxes / sizes.repeat(2), area], 1)
    norm = own + "pos_embed.1."
    spread = (w[norm + "running_var"] + 1e-5).sqrt()
    inner = (layer(own + "pos_embed.0", numbers) - w[norm + "running_mean"]) / spread
    place = layer(own + "pos_embed.2", inner * w[norm + "weight"] + w[norm + "bias"]).relu()
    order = sorted(range(count), key=lambda i: -float(centre[i, 0]))
    region = torch.cat([features, shares @ w[own + "obj_embed1.weight"], place], 1)[order]
    read = layer(own + "lin_obj_h", both(own + "obj_ctx_rnn", region))
    state, memory, before, logits, labels = torch.zeros(hidden), torch.zeros(hidden), 0, [], []
    for i in range(count):
        inputs = torch.cat([region[i], read[i], w[own + "decoder_rnn.obj_embed.weight"][before]])
        entered = layer(own + "decoder_rnn.input_linearity", inputs)
        gates = (entered[: 5 * hidden] + layer(own + "decoder_rnn.state_linearity", state)).chunk(5)
        memory = gates[0].sigmoid() * gates[2].tanh() + gates[1].sigmoid() * memory
        highway = gates[4].sigmoid()
        state = highway * gates[3].sigmoid() * memory.tanh() + (1 - highway) * entered[5 * hidden :]
        logits.append(layer(own + "decoder_rnn.out_obj", state))
        labels.append(int(logits[-1][1:].argmax()) + 1)
        before = labels[-1] + 1
    edges = torch.cat([w[own + "obj_embed2.weight"][labels], features[order], read], 1)
    states = layer("post_emb", layer(own + "lin_edge_h", both(own + "edge_ctx_rnn", edges)))
    back = np.argsort(order)
    states, objects = states[back], torch.stack(logits)[back]
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    joined = torch.stack([torch.cat([states[i, :hidden], states[j, hidden:]]) for i, j in pairs])
    return objects, layer("rel_compress", layer("post_cat", joined))


def with_all_pairs(regions):
    batch = collate([regions])
    return replace(batch, pairs=ordered_pairs(batch))


def test_the_recipe_has_as_many_parameters_as_the_release_uses():
    # 40,066,826 of the released predictor, less up_dim's 4,096 x 1,536 + 1,536, which take a union feature.
    config = load_recipe(find_recipe("official-release")).sgg.motifs
    with torch.device("meta"):
        model = Motifs(Sizes(features=1536, detector_categories=600, categories=150, predicates=50), config)
    assert sum(p.numel() for p in model.parameters()) == 40_066_826 - 6_292_992
    assert {key: getattr(config, key) for key in RELEASED} == RELEASED
    wide = load_recipe(find_recipe("vg-caption-ours")).sgg.motifs
    for name in ("object_context", "edge_context"):
        with torch.device("meta"):
            assert getattr(Motifs(Sizes(1536, 600, 150, 50), wide), name).hidden_size == 512


@pytest.mark.parametrize("prefix", ["", "module.roi_heads.relation.predictor."])
def test_a_checkpoint_gives_the_logits_of_its_own_formulas(tmp_path, prefix):
    weights = released()
    others = {"module.roi_heads.box.weight": torch.zeros(2)}
    torch.save({"model": {prefix + k: v for k, v in weights.items()} | others, "iteration": 3}, tmp_path / "a.pth")
    model = new_model(CONFIG.model_copy(update={"checkpoint": str(tmp_path / "a.pth")}), SIZES).eval()
    regions = replace(some_regions(5, 3), labels=np.array([0, -1, 3, 2, 1]))
    with torch.no_grad():
        outputs = model(with_all_pairs(regions))
    objects, predicates = plain_logits(weights, regions)
    torch.testing.assert_close(outputs.objects[0], objects, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs.predicates, predicates, atol=1e-5, rtol=1e-4)
    save_sgg(tmp_path / "sgg", model)
    (tmp_path / "a.pth").unlink()
    stored, _ = load_sgg(tmp_path / "sgg")
    assert torch.allclose(stored(with_all_pairs(regions)).predicates, outputs.predicates)


def test_names_of_another_vocabulary_keep_their_start():
    model = Motifs(SIZES, CONFIG)
    before = model.predicates.weight.clone()
    assert start_from_release(model, released(predicates=4), "a.pth") == ["predicates"]
    assert torch.equal(model.predicates.weight, before)
    assert torch.equal(model.ends.weight, released()["post_emb.weight"])


@pytest.mark.parametrize(
    ("options", "release", "message"),
    [
        (
            {"decoder": "lstm", "dropout_on": "all"},
            {},
            r"a\.pth is of the released form: set sgg\.motifs\.decoder=highway",
        ),
        ({"lstm_width": None}, {}, r"set sgg\.motifs\.lstm_width"),
        ({}, {"hidden": 12}, r"a\.pth: .* set the widths under sgg\.motifs"),
        ({}, {"pair": 12}, r"post_cat is \(12, 8\), this model's object\.weight \(10, 8\)"),
        ({}, None, r"a\.pth has no post_cat\.weight"),
    ],
)
def test_what_does_not_fit_is_named(options, release, message):
    weights = released(**release or {})
    if release is None:
        del weights["post_cat.weight"]
    with pytest.raises(InputError, match=message):
        start_from_release(Motifs(SIZES, CONFIG.model_copy(update=options)), weights, "a.pth")


@pytest.mark.parametrize("name", [name for name in released() if not name.startswith("up_dim")])
def test_tensors_of_any_other_shape_are_named(name):
    for shape in ((), (3,), (2, 2), (0, 9), (2, 3, 4)):
        tensor = torch.zeros(shape)
        if tensor.shape == released()[name].shape:
            continue
        try:
            kept = start_from_release(Motifs(SIZES, CONFIG), released() | {name: tensor}, "a.pth")
        except InputError as error:
            assert "a.pth" in str(error)
        else:
            raise AssertionError(f"{name} of {shape} was taken, {kept} kept")


def test_open_heads_and_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"set sgg\.heads=closed"):
        start_from_release(Motifs(replace(SIZES, text=4), CONFIG), released(), "a.pth")
    torch.save({"model": {"a": torch.zeros(2)}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: holds no Motifs of the released code"):
        read_motifs(tmp_path / "a.pth")
