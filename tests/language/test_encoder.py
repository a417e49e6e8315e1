import os
import zipfile

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer, ResNetConfig, ResNetModel

from groundgraph import models as experts
from groundgraph.data.types import Entity, ParsedCaption
from groundgraph.language.encoder import TextEncoder
from groundgraph.language.pieces import own_pieces, piece_mask, spans_of

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] a the man horse dog riding brown two wa ##gon ##s on".split()


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12,
    )  # fmt: skip
    folder = tmp_path / "text"
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab={p: i for i, p in enumerate(PIECES)}, model_max_length=12).save_pretrained(folder)
    return folder


def said(text, *entities):
    """Entities as (phrase, head)."""
    found = []
    for phrase, head in entities:
        start = text.index(phrase)
        inner = start + phrase.index(head)
        found.append(Entity(phrase, head, head, (start, start + len(phrase)), (inner, inner + len(head))))
    return ParsedCaption(text, tuple(found))


def test_own_pieces_are_the_masks_places(monkeypatch):
    """In chunks too, and with entities that own nothing at either end."""
    monkeypatch.setattr("groundgraph.language.pieces.CHUNK", 2)
    offsets = np.array([[(0, 0), (0, 3), (4, 6), (6, 9)], [(0, 0), (0, 2), (3, 5), (0, 0)]])
    captions, spans = np.array([0, 0, 1, 1, 1]), np.array([[20, 23], [4, 9], [0, 5], [3, 4], [9, 12]])
    places, starts = own_pieces(offsets, captions, spans)
    assert places.tolist() == [2, 3, 4 + 1, 4 + 2, 4 + 2] and starts.tolist() == [0, 0, 2, 4, 5]
    mask = piece_mask(offsets, captions, spans)
    assert np.array_equal(np.diff(starts, append=len(places)), mask.sum(1))
    assert [len(part) for part in own_pieces(offsets, captions[:0], spans[:0])] == [0, 0]


def test_piece_mask_by_hand():
    # [CLS] the wa ##gon ##s [SEP] [PAD] over "the wagons"
    offsets = np.array([[(0, 0), (0, 3), (4, 6), (6, 9), (9, 10), (0, 0), (0, 0)]])
    mask = piece_mask(offsets, np.array([0, 0, 0]), np.array([[4, 10], [0, 10], [20, 23]]))
    assert mask.astype(int).tolist() == [[0, 0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0, 0], [0] * 7]
    captions = [said("the man", ("the man", "man")), ParsedCaption("on"), said("a dog", ("a dog", "dog"))]
    which, spans = spans_of(captions)
    assert which.tolist() == [0, 2] and spans.tolist() == [[4, 7], [2, 5]]
    assert spans_of(captions, "phrase")[1].tolist() == [[0, 7], [0, 5]]


@pytest.mark.parametrize("pool", ["head", "phrase"])
def test_embedding_is_the_mean_over_the_entitys_own_pieces(model, pool):
    encoder = TextEncoder(str(model), pool=pool, batch_size=2)
    captions = [
        said("the man riding a brown horse", ("the man", "man"), ("a brown horse", "horse")),
        ParsedCaption(""),
        said("two wagons", ("two wagons", "wagons")),
        said("a dog", ("a dog", "dog")),
    ]
    rows = encoder.embed(captions)
    assert [r.shape for r in rows] == [(2, 8), (0, 8), (1, 8), (1, 8)] and encoder.size == 8
    # Independent: each caption alone, its pieces counted by hand.
    places = {
        "head": [[[2], [6]], [], [[2, 3, 4]], [[2]]],
        "phrase": [[[1, 2], [4, 5, 6]], [], [[1, 2, 3, 4]], [[1, 2]]],
    }[pool]
    for caption, row, own in zip(captions, rows, places, strict=True):
        with torch.no_grad():
            states = encoder.model(**encoder.tokenizer(caption.text, return_tensors="pt")).last_hidden_state[0]
        for vector, pieces in zip(row, own, strict=True):
            np.testing.assert_allclose(vector, states[pieces].mean(0).numpy(), rtol=1e-4, atol=1e-5)
    assert encoder.truncated == 0


def test_an_entity_beyond_the_length_falls_back_and_is_counted(model):
    encoder = TextEncoder(str(model))
    text = "the man on " * 5 + "a horse"
    (row,) = encoder.embed([said(text, ("the man", "man"), ("a horse", "horse"))])
    assert encoder.truncated == 1 and np.isfinite(row).all()
    with torch.no_grad():
        inputs = encoder.tokenizer(text, truncation=True, max_length=12, return_tensors="pt")
        states = encoder.model(**inputs).last_hidden_state[0]
    np.testing.assert_allclose(row[1], states.mean(0).numpy(), rtol=1e-4, atol=1e-5)


def test_unusable_models_are_named(tmp_path, model):
    with pytest.raises(ValueError, match="pool is 'mean'"):
        TextEncoder(str(model), pool="mean")
    with pytest.raises(ValueError, match="does not exist"):
        TextEncoder("./absent")
    with pytest.raises(ValueError, match=r"no config\.json"):
        TextEncoder(str(tmp_path))
    ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])).save_pretrained(tmp_path / "picture")
    BertTokenizer().save_pretrained(tmp_path / "picture")
    with pytest.raises(ValueError, match="no text encoder"):
        TextEncoder(str(tmp_path / "picture"))


def test_resolve(tmp_path, model, monkeypatch):
    assert experts.resolve(str(model)) == str(model)
    assert experts.resolve("bert-base-uncased") == "bert-base-uncased"
    assert experts.resolve("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"
    monkeypatch.setattr(experts, "FOLDER", tmp_path / "without")
    with pytest.raises(ValueError, match="reinstall groundgraph"):
        experts.resolve("bundled:text")
    with pytest.raises(ValueError, match="no bundled expert 'sound'"):
        experts.resolve("bundled:sound")
    with pytest.raises(ValueError, match="not installed"):
        experts.resolve("package:surely_not_there")


def packed(tmp_path, monkeypatch, name, members):
    package = tmp_path / "site" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    with zipfile.ZipFile(package / "model.zip", "w") as file:
        for member, text in members.items():
            file.writestr(member, text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return package / "model.zip"


def test_a_packages_model_is_unpacked_once(tmp_path, monkeypatch):
    packed(tmp_path, monkeypatch, "carries_one", {"config.json": "{}", "sub/x.txt": "x"})
    folder = experts.resolve("package:carries_one")
    assert folder.startswith(str(tmp_path / "cache" / "groundgraph")) and os.path.isfile(f"{folder}/sub/x.txt")
    before = os.stat(f"{folder}/config.json").st_mtime_ns
    assert experts.resolve("package:carries_one") == folder
    assert os.stat(f"{folder}/config.json").st_mtime_ns == before
    assert len(list((tmp_path / "cache" / "groundgraph").iterdir())) == 1


def test_bad_archives_are_refused_whole(tmp_path, monkeypatch):
    packed(tmp_path, monkeypatch, "carries_evil", {"config.json": "{}", "../../escaped.txt": "x"})
    with pytest.raises(ValueError, match="unsafe path"):
        experts.resolve("package:carries_evil")
    assert not list(tmp_path.rglob("escaped.txt")) and not list((tmp_path / "cache" / "groundgraph").iterdir())
    packed(tmp_path, monkeypatch, "carries_junk", {"x": ""}).write_bytes(b"no zip")
    with pytest.raises(ValueError, match="not a readable zip"):
        experts.resolve("package:carries_junk")


def test_the_bundled_encoder_tells_context():
    encoder = TextEncoder()
    captions = [said("a man riding a horse", ("a horse", "horse")), said("a horse under a tree", ("a horse", "horse"))]
    one, two = (rows[0] for rows in encoder.embed(captions))
    assert encoder.size == 128 and 0.2 < float(one @ two / np.linalg.norm(one) / np.linalg.norm(two)) < 0.999
