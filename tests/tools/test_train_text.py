"""The text encoder's training: it goes on where it was stopped, and leaves a model and its card."""

import pytest
from nearly import assert_same_values, assert_same_weights
from transformers import AutoModel

from tools import train_text as script
from tools import workbench
from tools.corpus import world_captions
from tools.train_text import train_text, train_tokenizer


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_stopped_training_goes_on_and_leaves_a_model_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "BATCH", 8)
    draws, draw = [], script.TextTask.draw

    def stop_at_the_fourth(self, places):
        draws.append(places)
        if len(draws) == 4:
            raise KeyboardInterrupt
        return draw(self, places)

    def kept_each_step(*arguments, **options):
        return train(*arguments, interval=1, **options)

    tokenizer = train_tokenizer(world_captions("expert", 20))  # which two trainings make differently
    monkeypatch.setattr(script, "train_tokenizer", lambda captions: tokenizer)
    train = workbench.train
    monkeypatch.setattr(workbench, "train", kept_each_step)
    whole = train_text(tmp_path / "whole", 6, scenes=20)
    monkeypatch.setattr(script.TextTask, "draw", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train_text(tmp_path / "text", 6, scenes=20)
    assert (tmp_path / ".text-training" / "text.pt").exists() and not (tmp_path / "text").exists()
    assert_same_values(train_text(tmp_path / "text", 6, scenes=20), whole)
    assert len(draws) == 4 + 3 and not (tmp_path / ".text-training").exists()
    assert "| steps | 6 |" in (tmp_path / "text" / "README.md").read_text()
    one, two = (AutoModel.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "text"))
    assert_same_weights(*({n: v for n, v in weights.items() if not n.startswith("pooler")} for weights in (one, two)))
