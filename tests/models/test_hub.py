"""Models that are fetched at their first use: looked for in the caches, asked for once, before the first stage."""

import json
import shutil
import socket
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import constants
from typer.testing import CliRunner

import groundgraph
from groundgraph.cli import app
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.language.encoder import TextEncoder
from groundgraph.models import FOLDER, hub
from groundgraph.stages.own_photos import open_recipe
from groundgraph.stages.preflight import require

ANSWERS = {  # of the hub for a model's config.json: status, code, and what is said of it
    "me/good": (200, "", None),
    "me/gated": (403, "GatedRepo", "accept its terms"),
    "me/gone": (404, "RepoNotFound", "has no such model"),
    "me/secret": (401, "RepoNotFound", "has no such model"),
    "me/odd": (404, "EntryNotFound", "has no config.json"),
    "me/busy": (503, "", "can't be reached"),
}


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.server.asked.append(self.path)
        status, code, _ = ANSWERS["/".join(self.path.split("/")[1:3])]
        self.send_response(status)
        for key, value in {
            "X-Error-Code": code,
            "ETag": '"x"',
            "X-Repo-Commit": "a" * 40,
            "Content-Length": "0",
        }.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def ask_at(port, monkeypatch):
    """Let the hub be at a port of this machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    path = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + path[1] + path[2])


@pytest.fixture
def online(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask_at(server.server_port, monkeypatch)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_network(monkeypatch):
    """A machine whose hub refuses each connection."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ask_at(port, monkeypatch)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache with one whole model, me/whole."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--me--whole"
    shutil.copytree(FOLDER / "text", model / "snapshots" / "abc")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    return model / "snapshots" / "abc"


def test_the_hubs_answers_are_told_apart(online):
    found = hub.obstacles([*ANSWERS, "a/b/c d"])
    for model, (_, _, cause) in ANSWERS.items():
        assert (cause is None and model not in found) or cause in found[model], found
    assert "mend the name" in found["a/b/c d"]
    assert len(online.asked) == len(ANSWERS)


def test_a_host_that_keeps_silent_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "SECONDS", 0.3)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ask_at(silent.getsockname()[1], monkeypatch)
        address = f"{constants.ENDPOINT}/weights.pth"
        found = hub.obstacles(["me/good", address])
    assert all("connect" in found[source] for source in ("me/good", address))
    monkeypatch.setattr(hub, "_obstacle_at_hub", lambda model: time.sleep(600))  # a slow look-up of a name
    assert "does not answer" in hub.obstacles(["me/good"])["me/good"]


def test_what_the_cache_holds_whole_is_read_there_and_no_host_is_asked(cache, online):
    encoder = TextEncoder("me/whole")
    assert encoder.size and online.asked == []
    assert hub.located("me/whole", hub.WEIGHTS, hub.TOKENIZER) == str(cache)
    assert hub.located("me/whole", hub.PREPARATION) == "me/whole"  # a text model says nothing of pictures


@pytest.mark.parametrize("load", [TextEncoder, groundgraph.load])
def test_a_model_that_cannot_come_is_asked_for_once(cache, online, load):
    with pytest.raises(InputError, match=r"me/busy: no such folder.* as an id of the hub.* 127\.0\.0\.1:\d+ can't be"):
        load("me/busy")
    assert len(online.asked) == 1


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_that_was_fetched_in_part_is_not_here(cache, lost):
    (cache / lost).unlink()
    assert hub.cached("me/whole", [hub.WEIGHTS, hub.TOKENIZER]) is None


def test_weights_in_shards_are_here_when_all_shards_are(cache):
    (cache / "model.safetensors").rename(cache / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (cache / "model.safetensors.index.json").write_text(json.dumps(index))
    assert hub.cached("me/whole", [hub.WEIGHTS]) is None
    shutil.copy(cache / "model-1.safetensors", cache / "model-2.safetensors")
    assert hub.cached("me/whole", [hub.WEIGHTS]) == str(cache)


def photos(folder):
    folder.mkdir()
    (folder / "captions.json").write_text('{"images": [], "annotations": []}')
    (folder / "a.jpg").write_bytes(b"")
    return folder


MODELS = [  # what a run reads, by the key that names it, and what is said where it is not here
    (["detector.model=facebook/detr-resnet-50"], "facebook/detr-resnet-50", "detector.model"),
    (["detector.kind=open-vocabulary", "detector.model=me/owl"], "me/owl", "detector.model"),
    (["text.model=me/bert"], "me/bert", "text.model"),
    (["detector.features=me/vit"], "me/vit", "detector.features"),
    (["teachers.interaction.model=me/blip"], "me/blip", "teachers.interaction.model"),
    (["teachers.interaction.model=bundled:vl", "teachers.expert.model=me/clip"], "me/clip", "teachers.expert.model"),
    (["teachers.interaction={model: a.pth, tokenizer: me/t}"], "me/t", "teachers.interaction.tokenizer"),
    (["sgg.model=uniter", "sgg.uniter.checkpoint=u.pt", "sgg.uniter.tokenizer=me/t"], "me/t", "sgg.uniter.tokenizer"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "model", "key"), MODELS)
def test_a_run_without_a_network_says_before_its_first_stage_what_is_not_here(
    tmp_path, no_network, cache, settings, model, key
):
    own = ["detector.kind=torchvision", "detector.model=bundled:detector"] if model != MODELS[0][1] else []
    recipe = open_recipe(str(photos(tmp_path / "photos")), ["text.model=bundled:text", *own, *settings], fast=True)
    with pytest.raises(InputError) as caught:
        require(Run(recipe, tmp_path / "run"))
    line = next(line for line in str(caught.value).splitlines() if line.startswith(f"{model} ("))
    assert "is not here, and 127.0.0.1" in line and "can't be reached" in line and f"--set {key}=FOLDER" in line
    assert not (tmp_path / "run").exists()


def test_the_command_says_it_in_one_line_and_data_check_too(tmp_path, no_network, cache):
    folder = str(photos(tmp_path / "photos"))
    for words in (["run", folder, "--out", str(tmp_path / "run")], ["data", "check", folder, "--no-count"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2 * (words[0] == "run") and "can't be" in result.output, result.output
        assert "--set detector.model=FOLDER" in result.output


def test_torchvisions_names_are_looked_for_in_its_cache_and_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(hub, "_obstacle_at_address", lambda url: f"{url.split('/')[2]} can't be reached: connect")
    settings = ["detector.kind=torchvision", "detector.model=retinanet_resnet50_fpn", "text.model=bundled:text"]
    run = Run(open_recipe(str(photos(tmp_path / "photos")), settings, fast=True), tmp_path / "run")
    _, place = hub.torchvision_weights("retinanet_resnet50_fpn")
    with pytest.raises(
        InputError, match=rf"download\.pytorch\.org can't be reached: connect, or put .*{place.name} at "
    ):
        require(run)
    place.write_bytes(b"weights")
    require(run)
    wrong = Run(open_recipe(str(tmp_path / "photos"), [*settings, "detector.model=resnet"], True), tmp_path / "run")
    with pytest.raises(InputError, match=r"resnet: missing .*neither a folder nor a network of torchvision"):
        require(wrong)


def test_a_parsers_model_that_is_not_installed_is_missed_before_the_first_stage(tmp_path):
    settings = ["detector.kind=torchvision", "detector.model=bundled:detector", "text.model=bundled:text"]
    recipe = open_recipe(str(photos(tmp_path / "photos")), [*settings, "parser.model=en_core_web_huge"])
    with pytest.raises(InputError, match=r"en_core_web_huge: missing \(parser's model\); pip install en_core_web_huge"):
        require(Run(recipe, tmp_path / "run"))


def test_a_cache_that_cannot_be_written_is_named_before_hours_are_spent(tmp_path, online, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert "nothing can be written into" in (why := hub.obstacles(["me/good"])["me/good"]) and "HF_HOME" in why
