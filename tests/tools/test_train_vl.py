"""The vision-language model's training: both phases run and leave a model and its card."""

import pytest

from groundgraph.teachers.albef import AlbefModel
from tools import train_vl as script
from tools.train_vl import train_vl


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_short_training_leaves_a_model_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "PICTURES_A_TAG_STEP", 4)
    monkeypatch.setattr(script, "PICTURES_A_FUSION_STEP", 4)
    figures = train_vl(tmp_path / "vl", 6, pictures=40)
    assert 0 <= figures["true caption above a plausible false one"] <= 1
    card = (tmp_path / "vl" / "README.md").read_text()
    assert "| tag steps (4 pictures) | 2 |" in card and "| fusion steps (4 pictures, 9 captions each) | 4 |" in card
    assert AlbefModel.from_pretrained(tmp_path / "vl").config.fusion_layer == 2
