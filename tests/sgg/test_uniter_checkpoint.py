"""Starting from a checkpoint in the key layout of UNITER's uniter-base.pt, made tiny here."""

import pickle

import pytest
import torch
from tiny_regions import SIZES, some_regions
from transformers import BertConfig, BertTokenizer
from transformers.models.bert.modeling_bert import BertEncoder

from groundgraph.sgg import new_model
from groundgraph.sgg.batch import collate
from groundgraph.sgg.storing import load_sgg, save_sgg
from groundgraph.sgg.uniter import UniterConfig
from groundgraph.sgg.uniter_checkpoint import start_from_checkpoint

NAMES = ("cat", "tennis racket", "dog", "zebra")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "tennis", "rack", "##et", "dog"]


def uniter_base(hidden=8, layers=3, features=6, words=12, positions=16):
    """The tensors that uniter-base.pt holds: 12 layers of 768 over 28,996 words and 2048-d features there."""
    torch.manual_seed(1)
    bert = BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=2 * hidden)
    tensors = {f"encoder.{k}": v for k, v in BertEncoder(bert).state_dict().items()}
    tensors |= {
        "embeddings.word_embeddings.weight": torch.randn(words, hidden),
        "embeddings.position_embeddings.weight": torch.randn(positions, hidden),
        "embeddings.token_type_embeddings.weight": torch.randn(2, hidden),
        "img_embeddings.img_linear.weight": torch.randn(hidden, features),
        "img_embeddings.img_linear.bias": torch.randn(hidden),
        "img_embeddings.pos_linear.weight": torch.randn(hidden, 7),
        "img_embeddings.pos_linear.bias": torch.randn(hidden),
        "img_embeddings.mask_embedding.weight": torch.randn(2, features),
        "pooler.dense.weight": torch.randn(hidden, hidden),
        "pooler.dense.bias": torch.randn(hidden),
    }
    norms = ("embeddings.", "img_embeddings.", "img_embeddings.img_layer_norm.", "img_embeddings.pos_layer_norm.")
    for norm in norms:
        norm = norm if "layer_norm" in norm else norm + "LayerNorm."
        tensors |= {f"{norm}weight": torch.randn(hidden), f"{norm}bias": torch.randn(hidden)}
    tensors = {f"uniter.{k}": v for k, v in tensors.items()}
    return tensors | {"cls.predictions.bias": torch.zeros(words), "itm_output.weight": torch.zeros(2, hidden)}


@pytest.fixture
def place(tmp_path):
    """A folder with uniter-base.pt and a tokenizer."""
    torch.save(uniter_base(), tmp_path / "uniter-base.pt")
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    BertTokenizer(vocab=vocabulary, do_lower_case=False).save_pretrained(tmp_path / "bert")
    return tmp_path


def config(place, **options):
    small = {"hidden": 8, "heads": 2, "intermediate": 16, "positions": 10, "dropout": 0.0}
    return UniterConfig(
        **(small | {"checkpoint": str(place / "uniter-base.pt"), "tokenizer": str(place / "bert")} | options)
    )


def test_the_first_layers_the_image_side_and_the_names_are_taken(place):
    given = uniter_base()
    model = new_model(config(place), SIZES, NAMES)
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(value, given[f"uniter.encoder.{key}"])
    for key, value in model.img_embeddings.state_dict().items():
        assert torch.equal(value, given[f"uniter.img_embeddings.{key}"])
    words, types = (given[f"uniter.embeddings.{k}_embeddings.weight"] for k in ("word", "token_type"))
    # cat; tennis rack ##et; dog; zebra is unknown; no category, [CLS], [SEP], [MASK].
    wanted = [words[5], words[6:9].mean(0), words[9], words[1], words[1], words[2], words[3], words[4]]
    torch.testing.assert_close(model.embeddings.word_embeddings.weight.data, torch.stack(wanted))
    assert torch.equal(model.embeddings.token_type_embeddings.weight.data, types[[0, 1, 1, 1]])
    positions = given["uniter.embeddings.position_embeddings.weight"]
    assert torch.equal(model.embeddings.position_embeddings.weight.data, positions[:10])
    assert model(collate([some_regions(3, 0)])).objects.isfinite().all()


def test_norms_by_their_old_names_are_known(place):
    old = {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
        for k, v in uniter_base().items()
    }
    torch.save(old, place / "uniter-base.pt")
    model = new_model(config(place), SIZES, NAMES)
    assert torch.equal(
        model.encoder.layer[1].output.LayerNorm.weight.data, old["uniter.encoder.layer.1.output.LayerNorm.gamma"]
    )


def test_features_of_another_width_are_projected_anew_and_it_is_said(place):
    torch.save(uniter_base(features=9), place / "uniter-base.pt")
    model = new_model(config(place), SIZES, NAMES)
    before = model.img_embeddings.img_linear.weight.clone()
    kept = start_from_checkpoint(model, NAMES)
    assert kept[0] == "img_embeddings.img_linear"
    assert set(kept[1:]) == {"tag", "objects", "subject", "object", "predicates", "union"}
    assert torch.equal(model.img_embeddings.img_linear.weight, before)


def test_a_stored_model_needs_neither_file(place, tmp_path):
    model = new_model(config(place), SIZES, NAMES).eval()
    save_sgg(tmp_path / "sgg", model)
    (place / "uniter-base.pt").unlink()
    loaded, _ = load_sgg(tmp_path / "sgg")
    batch = collate([some_regions(3, 0)])
    torch.testing.assert_close(loaded(batch).objects, model(batch).objects)


@pytest.mark.parametrize(
    ("options", "base", "message"),
    [
        ({"hidden": 16}, {}, r"has 8 dimensions, uniter\.hidden is 16"),
        ({"intermediate": 8}, {}, r"intermediate\.dense\.weight is \(16, 8\)"),
        ({"layers": 4}, {}, "fewer than 4 layers"),
        ({"positions": 40}, {}, "has 16 positions"),
        ({}, {"words": 9}, "do not belong together"),
        ({"tokenizer": "nowhere"}, {}, "nowhere is no tokenizer"),
    ],
)
def test_what_does_not_fit_is_named(place, options, base, message):
    torch.save(uniter_base(**base), place / "uniter-base.pt")
    with pytest.raises(ValueError, match=message):
        new_model(config(place, **options), SIZES, NAMES)


def test_other_files_and_anything_but_tensors_are_refused(place):
    file = place / "uniter-base.pt"
    torch.save({"model": torch.zeros(2)}, file)
    with pytest.raises(ValueError, match=r"uniter-base\.pt: holds no UNITER encoder"):
        new_model(config(place), SIZES, NAMES)
    with file.open("wb") as out:
        pickle.dump({"uniter.embeddings": len}, out, protocol=2)
    with pytest.raises(ValueError, match=r"uniter-base\.pt: asks for builtins\.len"):
        new_model(config(place), SIZES, NAMES)
    with pytest.raises(ValueError, match="2 names for 4 categories"):
        torch.save(uniter_base(), file)
        new_model(config(place), SIZES, NAMES[:2])
