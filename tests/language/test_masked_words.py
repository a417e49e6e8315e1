"""What a masked language model expects between two things."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from groundgraph.errors import InputError
from groundgraph.language.masked_words import MaskedLanguageModel
from groundgraph.models import resolve


@pytest.fixture(scope="module")
def words():
    return MaskedLanguageModel(batch_size=3)


def test_log_ratios_by_hand(words):
    things, relations = ["man", "horse", "box"], ["riding", "sitting on"]
    ratios = words.log_ratios(things, relations)
    assert ratios.shape == (3, 3, 2) and ratios.dtype == np.float32
    tokenizer, mask = words.tokenizer, words.tokenizer.mask_token

    def likelihood(subject, object_, relation):
        pieces = tokenizer(relation, add_special_tokens=False)["input_ids"]
        total, masks = 0.0, " ".join([mask] * len(pieces))
        # [CLS], an article, and the subject's one piece are in front.
        for text, first in ((f"{subject} {masks} {object_}", 2), (f"a {subject} {masks} a {object_}", 3)):
            with torch.inference_mode():
                logs = words.model(**tokenizer(text, return_tensors="pt")).logits[0].log_softmax(-1)
            total += sum(float(logs[first + place, piece]) for place, piece in enumerate(pieces)) / 2
        return total

    for s, o, r in ((0, 1, 0), (2, 0, 1)):
        expected = likelihood(things[s], things[o], relations[r]) - likelihood(mask, mask, relations[r])
        assert ratios[s, o, r] == pytest.approx(expected, abs=1e-3)


def test_it_knows_what_is_usual(words):
    riding, wearing = words.log_ratios(["man", "horse", "hat"], ["riding", "wearing"]).transpose(2, 0, 1)
    assert riding[0, 1] > 0 > riding[0, 2] and wearing[0, 2] > 0 > wearing[0, 1]


def test_a_text_model_without_its_head_is_refused(tmp_path):
    folder = resolve("bundled:text")
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"without its masked-word head .*bert-base-uncased"):
        MaskedLanguageModel(str(tmp_path))
    with pytest.raises(InputError, match="no masked language model could be loaded from 'bundled:vl'"):
        MaskedLanguageModel("bundled:vl")
