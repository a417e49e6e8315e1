"""One image with its caption and its scene graph as a page of its own: what `groundgraph app` shows of a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from groundgraph.report.embedding import embedded, file_text, script, templates
from groundgraph.report.pictures import PALETTE, ink

_SCRIPTS = ("vendor/cytoscape.min.js", "report.js", "height.js")


def example_page(
    graph: Mapping[str, Any], case: Mapping[str, Any] | None, names: Mapping[str, str], notes: Sequence[str] = ()
) -> str:
    """The page as HTML that needs nothing else; its scripts tell the window that it is framed in how high it is.

    As in a report, the scripts make text of what they show, never markup, and no other script may run.

    Args:
        graph: The scene graph, as `cases.graph_values` gives it, with its picture, as `cases.picture_record` does.
        case: The caption with its boxes and what the teachers say, as `cases.case_record` gives it; None: there is no
            caption.
        names: What each of the case's methods is called.
        notes: Sentences about what could not be found.
    """
    content = {
        "names": dict(names),
        "palette": PALETTE,
        "cases": [] if case is None else [case],
        "graphs": [{"caption": "", **graph}],
        "charts": [],
        "predicates": None,
    }
    scripts = [script(name) for name in _SCRIPTS]
    return templates().get_template("example.html").render(
        case=case,
        notes=notes,
        palette=[(colour, ink(colour)) for colour in PALETTE],
        style=Markup(file_text("report.css")),
        content=embedded(content),
        scripts=[text for text, _ in scripts],
        hashes=" ".join(f"'sha256-{digest}'" for _, digest in scripts),
    )  # fmt: skip
