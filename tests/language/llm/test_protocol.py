"""What a server may answer besides answers: come back later, another setting, no, elsewhere; over real sockets."""

import itertools
import json
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from groundgraph.errors import InputError
from groundgraph.language.llm.prompts import Message
from groundgraph.language.llm.server import ChatServer

KEY = "sk-very-secret-7f3a"
CONVERSATIONS = [(Message("user", str(number)),) for number in range(6)]


@contextmanager
def serving(*replies):
    """A server that gives these replies (status, headers, content) in order, and then answers; gives it and its log.

    A header's value may be a function, called when it is sent.
    """
    replies, log, lock = list(replies), [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                log.append((time.monotonic(), self.path, self.headers.get("Authorization"), body))
                status, headers, content = replies.pop(0) if replies else (200, {}, None)
            text = body["messages"][-1]["content"]
            whole = {
                "choices": [{"message": {"role": "assistant", "content": f"answer {text}"}}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2},
            }
            data = (content if isinstance(content, str) else json.dumps(content or whole)).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value() if callable(value) else value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", log
    finally:
        server.shutdown()
        server.server_close()


def error(message, status=400, headers=None):
    return status, headers or {}, {"error": {"message": message}}


def answers(url, conversations=CONVERSATIONS, **options):
    server = ChatServer(url, "tiny", 64, **({"requests": 3} | options))
    return {one[0].content: c and c.text for batch in server.answers(conversations) for one, c in batch}, server


def test_all_are_answered_with_the_protocols_fields_and_no_key():
    with serving() as (url, log):
        texts, server = answers(url + "/")
        assert texts == {str(n): f"answer {n}" for n in range(6)} and server.retries == 0
        assert answers(url, [])[0] == {}
    assert {path for _, path, _, _ in log} == {"/v1/chat/completions"} and len(log) == 6
    assert {key for _, _, key, _ in log} == {None}
    body = log[0][3] | {"messages": log[0][3]["messages"][0]["role"]}
    assert body == {"model": "tiny", "messages": "user", "temperature": 0, "max_tokens": 64}


def test_many_are_asked_at_the_same_time():
    barrier = threading.Barrier(4)
    with serving() as (url, _):
        server = ChatServer(url, "tiny", 64, requests=4)
        post = server._post
        server._post = lambda one: (barrier.wait(30), post(one))[1]  # fails unless four are on their way at once
        assert sum(map(len, server.answers(CONVERSATIONS[:4]))) == 4


def test_a_busy_server_is_asked_again_when_it_says():
    date = {"Retry-After": lambda: formatdate(time.time() + 3, usegmt=True)}
    busy = [(429, {"Retry-After": "1"}, None), (503, date, None), (500, {}, "oops")]
    with serving(*busy) as (url, log):
        texts, server = answers(url, CONVERSATIONS[:1])
        assert texts == {"0": "answer 0"} and server.retries == 3
        between = [b[0] - a[0] for a, b in itertools.pairwise(log)]
        assert between[0] >= 0.95 and between[1] > 1 and between[2] >= 0.25


def test_a_server_without_an_answer_for_long_is_given_up_and_what_it_answered_is_kept():
    with serving((200, {}, None), *[(503, {}, "down")] * 50) as (url, log):
        server = ChatServer(url, "tiny", 64, requests=1, patience=0.4)
        came = []
        with pytest.raises(InputError, match=rf"{url} answers 503 \(down\).*go on by the same command"):
            for batch in server.answers(CONVERSATIONS):
                came += [one[0].content for one, _ in batch]
        assert came == ["0"] and len(log) < 10
    with pytest.raises(InputError, match="cannot be reached"):
        answers(url, patience=0.2)


def test_a_wait_longer_than_the_patience_is_not_begun():
    with serving((429, {"Retry-After": "86400"}, None)) as (url, _), pytest.raises(InputError, match="86400 s"):
        answers(url, CONVERSATIONS[:1])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (error("Incorrect API key provided: " + KEY, 401), r"answers 401 \(Incorrect API key provided: \*\*\*\)"),
        (error("no such model", 404), r"answers 404 .*\(tiny\?\)"),
        (error("You exceeded your current quota: insufficient_quota", 429), "answers 429 .*go on by the same command"),
        ((307, {"Location": "http://127.0.0.1:1/v1/chat/completions"}, "moved"), "a redirect is not followed"),
        ((200, {}, "<html>a page</html>"), "is not of OpenAI's protocol"),
        ((200, {}, {"choices": []}), "is not of OpenAI's protocol"),
    ],
)
def test_what_would_not_change_is_said_at_once_and_without_the_key(monkeypatch, reply, message):
    monkeypatch.setenv("TINY_KEY", KEY)
    with serving(*[reply] * 6) as (url, log):
        with pytest.raises(InputError, match=message) as raised:
            answers(url, requests=1, api_key_env="TINY_KEY")
        assert len(log) == 1 and log[0][2] == f"Bearer {KEY}"
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "schlüssel"])
def test_a_variable_without_a_key_is_said_before_anything_is_sent(monkeypatch, value):
    monkeypatch.delenv("TINY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TINY_KEY", value)
    with serving() as (url, log):
        with pytest.raises(InputError, match="api_key_env names no environment variable with a key"):
            answers(url, api_key_env="TINY_KEY")
        assert log == []


def test_settings_that_a_model_refuses_are_left_out():
    refusals = (
        error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        error("Unsupported value: 'temperature' does not support 0."),
    )
    with serving(*refusals) as (url, log):
        texts, _ = answers(url, requests=1)
    assert len(texts) == 6 and len(log) == 8
    assert log[-1][3].keys() == {"model", "messages", "max_completion_tokens"}


def test_one_conversation_that_is_refused_stops_no_other():
    with serving((200, {}, None), error("content filter")) as (url, log):
        texts, _ = answers(url, requests=1)
    assert texts == {str(n): None if n == 1 else f"answer {n}" for n in range(6)} and len(log) == 6


def test_a_server_that_answered_another_run_may_refuse_all_that_is_left():
    with serving(*[error("content filter")] * 2) as (url, _):
        server = ChatServer(url, "tiny", 64, requests=1)
        server.works = True
        assert [answer for batch in server.answers(CONVERSATIONS[:2]) for _, answer in batch] == [None, None]


def test_a_server_that_refuses_every_conversation_is_an_error():
    with serving(*[error("bad field")] * 50) as (url, _), pytest.raises(InputError, match=r"answers 400 \(bad field\)"):
        answers(url, requests=2)
