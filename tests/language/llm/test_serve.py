"""`transformers serve` as the server, killed and started again in the middle, and the parsing process likewise."""

import importlib.util
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tiny import ANSWERS
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.language import load_parser
from groundgraph.language.llm.cache import answers_file
from groundgraph.language.llm.parser import RULES
from groundgraph.language.llm.respondent import AGAIN, KEPT, MALFORMED, RETRIED, SENT

LACKS = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKS), reason=f"transformers serve lacks {LACKS}")]
KEY = "sk-not-for-anyone-41c9"
LONG = 300.0  # seconds that anything may take before it is taken for broken


class Serve:
    """A process of `transformers serve` on a port of its own, and how many requests it answered."""

    def __init__(self, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.log, self.process = f"http://127.0.0.1:{self.port}/v1", log, None

    def start(self):
        words = ["serve", "--device", "cpu", "--host", "127.0.0.1", "--port", str(self.port)]
        command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", *words]
        with self.log.open("ab") as file:
            environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        wait_for(self.answers, self.log.read_text)
        return self

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def answered(self):
        return len(re.findall(r'"POST /v1/chat/completions HTTP/1.1" 200', self.log.read_text(errors="replace")))


def wait_for(condition, why=lambda: ""):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


def kept_answers():
    """How many answers are on the disk."""
    if not answers_file().is_file():
        return 0
    with sqlite3.connect(f"file:{answers_file()}?mode=ro", uri=True, timeout=60) as connection:
        try:
            return connection.execute("SELECT count(*) FROM answers").fetchone()[0]
        except sqlite3.OperationalError:  # the table is about to be made
            return 0


@pytest.fixture
def server(tmp_path):
    server = Serve(tmp_path / "serve.log").start()
    yield server
    server.kill()


def numbered(count):
    return [f"a man near {number} trees" for number in range(count)]


def test_right_answers_come_from_the_server_and_nothing_is_asked_twice(server, taught):
    options = {"model": taught, "url": server.url, "max_tokens": 48}
    parsed = load_parser("llm", **options).parse(list(ANSWERS))
    words = [(c.entities[t.subject].name, t.predicate, c.entities[t.object].name) for c in parsed for t in c.triplets]
    assert words == [("man", "ride", "horse"), ("dog", "under", "table")] and server.answered == 3
    server.kill()
    again = load_parser("llm", **options)
    assert again.parse(list(ANSWERS)) == parsed and again.counts[SENT] == 0 and again.counts[KEPT] == 3
    server.start()


def test_a_server_killed_and_started_again_in_the_middle_costs_no_answer(server, untaught):
    parser = load_parser("llm", model=untaught, url=server.url, max_tokens=16, requests=3)
    captions = numbered(40)

    def kill_and_start():
        wait_for(lambda: kept_answers() >= 10)
        server.kill()
        time.sleep(1)  # of requests that are refused
        server.start()

    thread = threading.Thread(target=kill_and_start)
    thread.start()
    parsed = parser.parse(captions)
    thread.join()
    assert parsed == load_parser("rules").parse(captions)  # a model of random weights answers rubbish
    assert parser.counts[SENT] == kept_answers() == 2 * len(captions)
    assert parser.counts[AGAIN] == parser.counts[MALFORMED] == parser.counts[RULES] == len(captions)
    assert parser.counts[RETRIED] > 0
    assert server.answered <= parser.counts[SENT] + 3  # those under way when it was killed at most


def test_a_parsing_process_killed_in_the_middle_goes_on_where_it_was(server, untaught, tmp_path):
    script = (
        "import sys\n"
        "from groundgraph.language import load_parser\n"
        "parser = load_parser('llm', model=sys.argv[1], url=sys.argv[2], max_tokens=16, requests=3)\n"
        "parser.parse([f'a man near {number} trees' for number in range(40)])\n"
        "print(dict(parser.counts))\n"
    )
    command = [sys.executable, "-c", script, untaught, server.url]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: kept_answers() >= 15)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert first.returncode == -signal.SIGKILL  # it was not done yet
    kept = kept_answers()
    second = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    counts = eval(second.stdout)
    assert counts[SENT] == 80 - kept and counts[KEPT] == kept
    assert server.answered <= 80 + 3


def test_a_run_asks_its_server_and_keeps_the_key_to_itself(server, untaught, tmp_path, monkeypatch):
    monkeypatch.delenv("TINY_KEY", raising=False)
    keys = {
        "data.train": 12,
        "data.validation": 2,
        "data.test": 2,
        "parser.name": "llm",
        "parser.model": untaught,
        "parser.url": server.url,
        "parser.api_key_env": "TINY_KEY",
        "parser.max_tokens": 16,
        "parser.prices": "[0.5, 1.5]",
        "vocabulary.alignment.kind": "llm",
    }
    settings = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    out = tmp_path / "run"
    dry = CliRunner().invoke(app, ["run", "minigenome", "--out", str(out), "--dry-run", *settings])
    assert dry.exit_code == 0, dry.output
    words = " ".join(dry.output.replace("│", " ").split())
    assert "tokens read" in words and "by parser.prices" in words and server.answered == 0 and kept_answers() == 0
    monkeypatch.setenv("TINY_KEY", KEY)
    result = CliRunner().invoke(app, ["data", "check", "minigenome", "--out", str(out), *settings])
    assert result.exit_code == 0, result.output
    record = json.loads((out / "parsed" / "stage.json").read_text())
    assert record["counts"][RULES] == record["counts"][MALFORMED] > 0
    assert "mapped triplets by the language model" in result.output and RULES in result.output
    for path in [*out.rglob("*"), answers_file()]:
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in result.output + dry.output
    assert str(Path(answers_file()).parent).startswith(str(tmp_path))
