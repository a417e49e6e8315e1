"""The page of `groundgraph app` in a real browser, served by the command itself.

Needs Gradio (extra `app`), Chromium (Debian's package `chromium`) and playwright: the modules `chromium` and `visiting`
skip whoever imports them where these are absent, which the tests of this folder that need none do not.
"""

import pytest
from PIL import Image

from groundgraph.data.minigenome.dataset import MiniGenome

# What Gradio's scripts say of a page that is left, or closed, while it waits for something.
LEAVING = ("AbortError", "Connection errored out")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command in a process of its own; gives its address and the folder that it keeps uploads in."""
    from visiting import serving

    with serving(tmp_path_factory.mktemp("server"), "-m", "groundgraph", "app") as (address, folder):
        yield address, folder / "uploads"


@pytest.fixture
def opened(browser, server):
    """Opens the page and waits for its first finding; complaints and requests elsewhere must be none."""
    from visiting import PATIENCE, result

    complaints, contexts, address = [], [], server[0]

    def complain(text):
        if not any(words in text for words in LEAVING):
            complaints.append(text)

    def open_(width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complain(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("data:", "blob:", address)) else complain(r.url))
        page.goto(address)
        result(page).locator("#cases .entity").first.wait_for()
        return page

    yield open_
    before_closing = list(complaints)
    for context in contexts:
        context.close()
    assert before_closing == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A drawn scene, a caption of it: an image file as somebody has one."""
    folder = tmp_path_factory.mktemp("photo")
    example = MiniGenome("test", "vg_caption", folder / "drawn", 10)[8]
    with Image.open(example.path) as image:
        image.resize((448, 448)).save(folder / "my horse.jpg")
    return folder / "my horse.jpg", "a woman in a purple cap riding the gray horse"
