"""Models of the hub are fetched whole, in one form of their weights, and with the sums that the hub says."""

import hashlib
from types import SimpleNamespace

import huggingface_hub
import pytest

from groundgraph.errors import InputError
from groundgraph.models.fetching import HubFile, fetch_model, model_files, needed

BERT = ["README.md", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
OTHERS = ["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "onnx/model.onnx", "coreml/x/config.json"]


def test_one_form_of_the_weights_is_needed():
    assert needed([*BERT, *OTHERS]) == set(BERT) - {"README.md"}
    assert "pytorch_model.bin" in needed([*BERT[:-1], *OTHERS])
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert needed(["model.safetensors.index.json", "pytorch_model.bin.index.json", *shards, "config.json"]) == {
        "config.json", "model.safetensors.index.json", *shards,
    }  # fmt: skip


def test_files_are_compared_with_the_hubs_sums(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_bytes(b"{}")
    lfs = SimpleNamespace(sha256=hashlib.sha256(b"weights").hexdigest())
    listed = [
        SimpleNamespace(rfilename="model.safetensors", size=7, lfs=lfs),
        SimpleNamespace(rfilename="config.json", size=2, lfs=None),
        SimpleNamespace(rfilename="tf_model.h5", size=9, lfs=lfs),
    ]
    asked = []

    class Api:
        def model_info(self, model, files_metadata):
            return SimpleNamespace(siblings=listed)

    def download(model, name):
        asked.append((model, name))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    files, counts = model_files("me/bert"), []
    assert [file.name for file in files] == ["model.safetensors", "config.json"]
    fetch_model("me/bert", files, counts.append)
    assert counts == [7, 2] and asked == [("me/bert", "model.safetensors"), ("me/bert", "config.json")]
    with pytest.raises(InputError, match=r"model\.safetensors has the sha256 sum .* it was deleted"):
        fetch_model("me/bert", [HubFile("model.safetensors", 7, "0" * 64)], counts.append)
    assert not (tmp_path / "model.safetensors").exists()
