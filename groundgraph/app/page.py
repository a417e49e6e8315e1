"""The page in Gradio: what a visitor sees and does."""

from __future__ import annotations

import html
import json
import tempfile
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from groundgraph.app.finding import MAX_CAPTION, TOP, Finder, Finding
from groundgraph.app.photos import MAX_BYTES, MAX_PIXELS
from groundgraph.app.samples import sample_photos
from groundgraph.app.visitors import Visitors
from groundgraph.data.images import open_image
from groundgraph.errors import InputError
from groundgraph.pretrained.model import SceneGraphModel

THEME = gr.themes.Default(
    primary_hue="blue",
    secondary_hue="blue",
    neutral_hue="gray",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    body_background_fill="#f6f6f3",  # as the framed page's
    body_background_fill_dark="#14171a",
    # Letters of 4.5 times their ground's brightness, or the reverse, which Gradio's own do not all have.
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    input_placeholder_color="*neutral_500",
    input_placeholder_color_dark="*neutral_400",
    body_text_color_subdued="*neutral_500",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)
CSS = """
.gradio-container { width: 100% !important; max-width: 1320px !important; margin: 0 auto !important; }
#head h1 { margin: 0; font-size: 1.6rem; }
#head p { margin: .25rem 0 0; max-width: 46rem; }
#photo img { width: 100%; height: 100%; object-fit: contain; }
#samples { gap: .35rem; }
#samples p { margin: 0; font-size: .85rem; color: var(--block-info-text-color); }
#samples button { justify-content: start; padding: .3rem .5rem; font-weight: 400; text-align: left; }
#samples button img { width: 2rem; height: 2rem; max-height: none; border-radius: 4px; }
#head .html-container, #result .html-container, #samples .html-container { padding: 0; }
#result iframe { width: 100%; height: 1150px; border: 0; display: block; }
#result .message { padding: 1rem 1.25rem; border: 1px solid var(--border-color-primary); border-radius: 6px; }
#result .problem { border-left: 5px solid #b3261e; }
"""
# The framed page says how high it is; whatever else it may say is not listened to.
FRAMED = """
window.addEventListener("message", (event) => {
  const frame = element.querySelector("iframe"), height = Math.min(Number(event.data?.groundgraph), 6000);
  if (frame && event.source === frame.contentWindow && height > 0) frame.style.height = `${height + 4}px`;
});
"""
# Where the page is one column, what was found is below what was asked.
SHOW_RESULT = """() => {
  if (innerWidth < 760) document.getElementById("result").scrollIntoView({ behavior: "smooth", block: "start" });
}"""
_INTRODUCTION = "Drop a photo and write a sentence about it."
_BUG = "Something went wrong here, and not by your mistake. Try another photo; whoever runs this page sees the cause."


class Page:
    """What happens when a visitor does something.

    Args:
        finder: Finds.
        folder: Where Gradio keeps uploads.
    """

    def __init__(self, finder: Finder, folder: Path) -> None:
        self.finder, self.folder, self.visitors = finder, folder, Visitors(folder)
        self.closed = False

    def find(
        self,
        photo: str | None,
        caption: str | None,
        categories: str | None,
        predicates: str | None,
        min_score: float,
        request: gr.Request,
    ) -> tuple[str, Any, Any, Any]:
        """What the page shows of a photo: the result, the least score, and both downloads, which are made later."""
        name, later = request.session_hash or "", gr.DownloadButton(interactive=False)
        before = self.visitors.finding(name)
        self.visitors.bring(name, Path(photo) if photo else None)
        if not photo:
            return _message(_INTRODUCTION), min_score, later, later
        try:
            finding = self.finder.find(Path(photo), caption or "", categories or "", predicates or "")
        except InputError as error:
            return _message(str(error), problem=True), min_score, later, later
        except Exception:
            traceback.print_exc()
            return _message(_BUG, problem=True), min_score, later, later
        self.visitors.show(name, finding)
        # Other names' scores are on another scale.
        moved = before is not None and before.min_score != finding.min_score
        least = round(finding.min_score, 3) if moved else min_score
        return _framed(finding.page(least)), least, later, later

    def remove(self, request: gr.Request) -> tuple[str, Any, Any]:
        """The visitor's photo is taken away."""
        self.visitors.bring(request.session_hash or "", None)
        later = gr.DownloadButton(interactive=False)
        return _message(_INTRODUCTION), later, later

    def limit(self, min_score: float, request: gr.Request) -> str | Any:
        """The result again, with the relations of at least this score."""
        finding = self.visitors.finding(request.session_hash or "")
        return gr.skip() if finding is None else _framed(finding.page(min_score))

    def write(self, min_score: float, request: gr.Request) -> tuple[Any, Any]:
        """What is shown as two files to download: JSON, and SVG."""
        name = request.session_hash or ""
        finding = self.visitors.finding(name)
        if finding is None:
            return gr.skip(), gr.skip()
        with tempfile.TemporaryDirectory() as scratch, self.finder.lock:  # matplotlib draws one at a time
            paths = [Path(scratch) / f"{finding.photo.stem}.{kind}" for kind in ("json", "svg")]
            try:
                _write(finding, min_score, *paths)
            except InputError:  # the visitor left, and with the visitor the photo
                return gr.skip(), gr.skip()
            if self.closed:
                return gr.skip(), gr.skip()
            files = [save_file_to_cache(path, str(self.folder)) for path in paths]
        if not self.visitors.offer(name, finding, map(Path, files)):
            return gr.skip(), gr.skip()
        json_file, svg_file = (gr.DownloadButton(value=file, interactive=True) for file in files)
        return json_file, svg_file

    def leave(self, request: gr.Request) -> None:
        """The page was closed or loaded anew."""
        self.visitors.leave(request.session_hash or "")

    def close(self) -> None:
        """Wait for what is being made; nothing is written into the folder from then on."""
        with self.finder.lock:
            self.closed = True


def build(model: SceneGraphModel, name: str | None, folder: Path) -> tuple[gr.Blocks, Page]:
    """The page, and what happens on it.

    Args:
        model: Finds.
        name: What it was loaded by; None: the bundled miniature.
        folder: Gets the pictures to try the page with.
    """
    page = Page(Finder(model), Path(get_upload_folder()))
    samples = sample_photos(folder / "samples") if model.parts.recipe.data.source == "minigenome" else []
    gr.set_static_paths([folder / "samples"])
    first = samples[0] if samples else (None, "")
    one_at_a_time: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
    one_at_a_time["trigger_mode"] = "always_last"  # what is asked while something is found is found after it
    with gr.Blocks(title="groundgraph", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        gr.HTML(_head(model, name), elem_id="head")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                photo = gr.Image(
                    first[0] and str(first[0]),
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    label=f"Photo (up to {MAX_PIXELS // 10**6} megapixels, {MAX_BYTES // 10**6} MB)",
                    height=240,
                    buttons=[],
                    elem_id="photo",
                )
                # Gradio's own would open the file by any of Pillow's decoders.
                photo.preprocess = lambda payload: payload.path if payload else None
                caption = gr.Textbox(
                    first[1],
                    label="Caption",
                    info=f"An English sentence of up to {MAX_CAPTION} characters: each thing it names gets a box.",
                    placeholder="a man riding a horse",
                    max_length=MAX_CAPTION,
                    lines=1,
                    max_lines=3,
                )
                button = gr.Button("Find", variant="primary")
                min_score = gr.Slider(
                    0,
                    1,
                    round(model.min_score, 3),
                    step=0.001,
                    label="Least score of a relation",
                    info=f"Of the scene graph; its {TOP} best are shown.",
                )
                # Gradio's own fails where the number is deleted, or written too large. Both stay as long as what
                # changes the component are values, not gr.skip() or another update.
                min_score.preprocess = lambda payload: min(max(payload or 0.0, 0.0), 1.0)
                with gr.Accordion("Vocabulary of the scene graph", open=False):
                    listed = "Any names" if page.finder.open else "Some of the model's names"
                    boxes = [
                        gr.Textbox(
                            "",
                            label=f"{kind}s",
                            info=f"{listed}, separated by commas; empty: all {len(names)}.",
                            placeholder=", ".join(names[:6]) + ", ...",
                            lines=1,
                            max_lines=4,
                        )
                        for kind, names in (("Thing", model.categories), ("Relation", model.predicates))
                    ]
                taken = []
                if samples:
                    with gr.Column(elem_id="samples"):
                        gr.HTML("<p>Or take one of these:</p>")
                        taken = [gr.Button(text, size="sm", icon=str(path)) for path, text in samples]
            with gr.Column(scale=5, min_width=300):
                result = gr.HTML(_message(_INTRODUCTION), elem_id="result", js_on_load=FRAMED)
                with gr.Row():
                    downloads = [
                        gr.DownloadButton(f"Download {kind}", size="sm", min_width=120, interactive=False)
                        for kind in ("JSON", "SVG")
                    ]
        inputs, outputs = [photo, caption, *boxes, min_score], [result, min_score, *downloads]
        triggers = [photo.upload, caption.submit, *(box.submit for box in boxes), button.click]
        events = [gr.on(triggers, page.find, inputs, outputs, **one_at_a_time)]
        # A photo that the page put there is still among the inputs when it is removed.
        photo.clear(page.remove, None, [result, *downloads], **one_at_a_time)
        for sample, own in zip(samples, taken, strict=True):
            take = own.click(partial(_both, *sample), None, [photo, caption], queue=False, api_visibility="private")
            events.append(take.then(page.find, inputs, outputs, **one_at_a_time))
        by_hand = list(events)
        if samples:
            events.append(demo.load(page.find, inputs, outputs, **one_at_a_time))
        limited = min_score.input(page.limit, [min_score], [result], show_progress="hidden", **one_at_a_time)
        for event in events:
            event.then(page.write, [min_score], downloads, show_progress="hidden", **one_at_a_time)
        limited.then(page.write, [min_score], downloads, show_progress="hidden", **one_at_a_time)
        for event in by_hand:
            event.then(None, js=SHOW_RESULT, api_visibility="private")
        demo.unload(page.leave)
    return demo, page


def _head(model: SceneGraphModel, name: str | None) -> str:
    """The title and what the model is, in a sentence each."""
    if name is None:
        which = "This is the bundled miniature: it knows drawn scenes, and nothing of photos."
    else:
        which = f"Model: {Path(name).resolve().name if Path(name).exists() else name}."  # no path of the server's
    grounder = html.escape(model.parts.method)
    return (
        "<h1>groundgraph</h1><p>Which box does each word of a caption mean, and what does a scene-graph generator that "
        f"learnt from captions find by itself? {html.escape(which)} Words are grounded by “{grounder}”. "
        "Photos are deleted when their page is closed.</p>"
    )


def _both(photo: Path, caption: str) -> tuple[str, str]:
    return str(photo), caption


def _framed(page: str) -> str:
    """A page within the page, which may run its scripts and reach nothing of ours."""
    return f'<iframe title="What was found" sandbox="allow-scripts" srcdoc="{html.escape(page)}"></iframe>'


def _message(text: str, problem: bool = False) -> str:
    kind, role = ("message problem", "alert") if problem else ("message", "status")
    return f'<div class="{kind}" role="{role}">{html.escape(text)}</div>'


def _write(finding: Finding, min_score: float, json_path: Path, svg_path: Path) -> None:
    json_path.write_text(json.dumps(finding.record(min_score), indent=1, ensure_ascii=False), encoding="utf-8")
    finding.shown(min_score).save(svg_path, open_image(finding.photo), TOP)
