"""A page that is served by a process of its own, and what a visitor does on it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from chromium import needs_chromium

# Of a module of tests in a browser.
IN_A_BROWSER = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(find_spec("gradio") is None, reason="no Gradio: pip install groundgraph[app]"),
]
PATIENCE = 120_000  # ms, on a busy machine; nothing waits that long otherwise


@contextmanager
def serving(place, *command):
    """A process that serves the page; gives its address and its folder, which must be gone after it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "TMPDIR": str(place), "OMP_NUM_THREADS": "1"}
    with (place / "log").open("w") as log:
        words = [sys.executable, *command]
        process = subprocess.Popen(words, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(3000):
            assert process.poll() is None, (place / "log").read_text()
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        (folder,) = place.glob("groundgraph-app-*")
        yield address, folder
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        assert not folder.exists()
        assert "Traceback" not in (place / "log").read_text()
    finally:
        process.kill()


def result(page):
    return page.frame_locator("#result iframe")


def caption_shown(page, text):
    """Wait until the result is of this caption."""
    result(page).locator("#cases .caption", has_text=text).wait_for()


def upload(page, path):
    """Drop a photo, and wait until it is there."""
    page.locator("#photo input[type=file]").set_input_files(path)
    page.locator(f"#photo img[src*='{path.stem.split()[0]}']").wait_for(state="attached")


def ask(page, text):
    page.get_by_label("Caption").fill(text)
    page.get_by_label("Caption").press("Enter")


def downloaded(page, kind):
    """The file's name and content."""
    button = page.get_by_role("button", name=f"Download {kind}")
    button.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # right after scrolling, Chromium takes a click for the framed page's
    with page.expect_download() as download:
        button.click()
    return download.value.suggested_filename, download.value.path().read_bytes()
