import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from groundgraph.report import html
from groundgraph.report.cases import Case
from groundgraph.report.charts import PredicateRecall
from groundgraph.report.html import GraphPicture, ReportData, Table, write_report

TITLES = {"two-teachers": "This method", "sgnls": "SGNLS rule", "mil": "MIL alone"}
VOID = {"meta", "img", "link", "br"}
METRICS = {
    "methods": {
        "mil": {
            "grounding": {"all": 0.25, "ambiguous": 0.2, "unseen": None},
            "sgdet": {"R@20": 0.01, "R@50": 0.02, "R@100": 0.0304},
            "mAP50": 0.1,
        },
        "two-teachers": {
            "grounding": {"all": 0.7004, "ambiguous": 0.6551, "unseen": 0.5},
            "sgdet": {"R@20": 0.09, "R@50": 0.12, "R@100": 0.15},
            "mAP50": 0.2,
        },
        "sgnls": {
            "grounding": {"all": 0.7001, "ambiguous": 0.4, "unseen": 0.1},
            "sgdet": {"R@20": 0.06, "R@50": 0.08, "R@100": 0.1},
            "mAP50": 0.3,
        },
    },
    "chance": {"all": 0.11, "ambiguous": 0.9, "unseen": 0.1},
    "counts": {"images": {"train": 4000, "test": 80}, "captions": 12345},
}


class Page(HTMLParser):
    """The tables as rows of cells, all attributes, and the visible text; fails on tags that do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tables, self.tags, self.text, self.scripts = [], {}, [], "", []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == "table":
            self.table = self.tables[attributes.get("id", len(self.tables))] = []
        elif tag == "script":
            self.scripts.append((attributes, ""))
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        if "script" in self.open:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
            return
        self.text += data
        if "strong" in self.open:
            data = f"*{data}*"
        if {"td", "th"} & set(self.open):
            self.table[-1][-1] += data

    @property
    def content(self):
        """What the page's script is given."""
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def written(tmp_path):
    def write(**parts) -> Page:
        path = tmp_path / "run" / "report.html"
        write_report(path, ReportData(**{"title": "A run", "metrics": METRICS, "methods": TITLES, **parts}))
        assert [p.name for p in path.parent.iterdir()] == ["report.html"]
        return Page(path.read_text(encoding="utf-8"))

    return write


def case(**changes) -> Case:
    parts = {
        "image": Image.new("RGB", (112, 112), (10, 200, 30)),
        "caption": "a man rides a horse",
        "spans": [(2, 5), (14, 19)],
        "answers": {"mil": [(1, 1, 20, 20), None], "truth": [(1, 1, 20, 20), (30, 30, 90, 90)]},
        "correct": {"mil": [True, False]},
    }
    return Case(**{**parts, **changes})


def test_reliability_diagram(written):
    figures = {"precision": 0.5, "recall": 0.8, "F1": 0.6154, "ECE": 0.01, "ECE uncalibrated": 0.07, "an image": 5.0}
    row = METRICS["methods"]["sgnls"] | {"calibration": figures | {"min_score": 0.05, "bins": [[9, 0.5, 0.25]]}}
    page = written(metrics={"methods": {"sgnls": row}})
    assert page.tables["score-figures"][1][1:] == ["*50.0*", "*80.0*", "*61.5*"]
    assert {"cx": "50.0", "cy": "75.0", "r": "4.0"} in page.all("circle")
    assert page.all("svg")[0]["aria-label"] == "SGNLS rule: 25.0 of 100 are right where scores say 50.0; "
    assert "score-figures" not in written().tables


def test_headline_table(written):
    rows = written().tables["headline"]
    assert rows[0][0] == "Method" and rows[0][4:] == ["R@20", "R@50", "R@100", "mAP50"]
    assert [row[0].split()[0] for row in rows[1:]] == ["This", "SGNLS", "MIL", "Chance"]
    # 70.04 and 70.01 both read 70.0 and are both the best; chance never is, even where it is higher.
    assert rows[1][1:] == ["*70.0*", "*65.5*", "*50.0*", "*9.0*", "*12.0*", "*15.0*", "20.0"]
    assert rows[2][1:] == ["*70.0*", "40.0", "10.0", "6.0", "8.0", "10.0", "*30.0*"]
    assert rows[3][1:] == ["25.0", "20.0", "-", "1.0", "2.0", "3.0", "10.0"]
    assert rows[4][1:] == ["11.0", "90.0", "10.0", "-", "-", "-", "-"]


def test_chance_keyed_as_a_method(written):
    metrics = {"methods": {}, "chance": {"grounding": {"all": 0.5}, "mAP50": None}}
    assert written(metrics=metrics).tables["headline"][1][1:] == ["50.0"]


def test_rows_and_columns_without_a_figure_are_left_out_and_notes_say_why(written):
    nothing = {"grounding": dict.fromkeys(("all", "ambiguous", "unseen")), "sgdet": {}, "mAP50": None}
    metrics = {"methods": {"two-teachers": nothing | {"mAP50": 0.5}, "mil": nothing}, "chance": dict.fromkeys(("all",))}
    page = written(metrics=metrics | {"notes": ["no SGDet recall: no relation is annotated"]})
    assert [row[1:] for row in page.tables["headline"]] == [["mAP50"], ["*50.0*"]]
    assert "no SGDet recall: no relation is annotated." in page.text
    assert "headline" not in written(metrics={"methods": {"two-teachers": nothing}, "chance": {"all": None}}).tables


def test_counts_seconds_and_config(written):
    page = written(seconds={"parse": 12.34, "train": 100}, config_yaml="seed: 7 # <none>")
    assert page.tables["counts"][1:] == [["images, train", "4,000"], ["images, test", "80"], ["captions", "12,345"]]
    assert page.tables["seconds"][1:] == [["parse", "12.3 s"], ["train", "1 min 40 s"], ["together", "1 min 52 s"]]
    assert "seed: 7 # <none>" in page.text


GRAPH = {
    "objects": [{"category": c, "score": 0.5, "box": [1.0, 2.0, 5.0, 8.0]} for c in ("man", "hat", "man")],
    "relations": [{"subject": 2, "predicate": "wearing", "object": 1, "score": 0.25}],
}


def picture(caption="c") -> GraphPicture:
    return GraphPicture(Image.new("RGB", (10, 20)), caption, GRAPH)


def test_nothing_is_loaded_and_only_the_page_s_own_scripts_may_run(written):
    page = written(cases=[case()], graphs=[picture()])
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base"}
    for _, attributes in page.tags:
        assert not {"src", "href"} & set(attributes) and not any(name.startswith("on") for name in attributes)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:" and "connect-src" not in rules
    run = [text for attributes, text in page.scripts if "type" not in attributes]
    allowed = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert rules["script-src"].split() == allowed and len(run) == 3
    assert not any("sourceMappingURL=chart" in text for text in run)
    assert len(page.all("caption")) == len(page.all("table"))
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1


def test_the_libraries_are_the_ones_named_and_carry_their_licences(written):
    folder = Path(html.__file__).parent / "vendor"
    listed = re.findall(r"\| `([\w.]+)` \|.*\| `(\w{64})` \|", (folder / "README.md").read_text())
    assert sorted(name for name, _ in listed) == sorted(p.name for p in folder.glob("*.js"))
    for name, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert written().text.count("Permission is hereby granted, free of charge") == 2


def test_a_case_and_a_graph_as_the_script_gets_them(written):
    content = written(cases=[case(good=False)], graphs=[picture()]).content
    shown, graph = content["cases"][0], content["graphs"][0]
    assert shown["words"] == ["man", "horse"] and shown["good"] is False
    assert graph["names"] == ["man 1", "hat", "man 2"] and graph["relations"] == [[2, "wearing", 1, 0.25]]
    assert graph["boxes"][0] == [0.1, 0.1, 0.4, 0.3] and graph["size"] == [10, 20]
    assert len(content["palette"]) == 10 and content["names"]["two-teachers"] == "This method"


def test_a_case_of_unequal_lengths_is_an_error(written):
    with pytest.raises(ValueError, match="mil has 1 boxes for 2 entities"):
        written(cases=[case(answers={"mil": [None]}, correct={})])


def test_markup_comes_out_as_text(written):
    evil = '</script><script>alert("x")</script><!--&\u2028'
    page = written(
        title=evil,
        config_yaml=evil,
        cases=[case(caption=evil, spans=[(0, 8)], answers={evil: [None]}, correct={evil: [False]})],
        cases_note=evil,
        graphs=[picture(evil)],
        graphs_note=evil,
        curves={evil: {evil: [1.0, 2.0]}},
        skipped=[(evil, evil)],
        seconds={evil: 1},
        metrics={"methods": {evil: {}}, "counts": {evil: evil}},
        predicates=PredicateRecall([evil], [1], {evil: [0.5]}),
    )
    assert len(page.scripts) == 4  # the data and three of ours
    assert page.text.count(evil) >= 14
    content = page.content
    assert content["cases"][0]["caption"] == evil == content["graphs"][0]["caption"] == content["charts"][0]["name"]


def test_curves_and_predicates_have_their_figures_in_words_too(written):
    page = written(
        curves={"loss": {"train": [4.0, 2.0, float("nan"), 0.0], "validation": [1.0]}},
        predicates=PredicateRecall(["on", "in"], [9, 2], {"two-teachers": [0.5, None]}),
    )
    labels = [canvas["aria-label"] for canvas in page.all("canvas")]
    assert labels[1] == "loss; train from 4 to 0; validation from 1 to 1" and all(labels)
    assert "train: 4 to 0 (4 values);" in page.text
    assert page.tables["predicate-table"] == [
        ["Predicate", "True relations", "This method"],
        ["on", "9", "50.0"],
        ["in", "2", "-"],
    ]


def test_what_there_is_none_of_is_not_there(written):
    page = written()
    assert not page.all("canvas") and not page.all("noscript") and "scene graphs" not in page.text


def test_skipped(written):
    items = [(f"image {i}", "cannot be opened" if i < 22 else "no entity") for i in range(25)]
    page = written(skipped=items)
    assert page.tables["reasons"][1:] == [["cannot be opened", "22"], ["no entity", "3"]]
    assert page.tables["skipped"][1:] == [list(item) for item in items[:20]]
    assert "25 left out" in page.text
    assert "Nothing." in written().text


def test_a_failed_report_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ValueError):
        write_report(path, ReportData("t", {}, cases=[case(correct={"mil": []})]))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write_report(path, ReportData("t", {}))
    assert "<h1>t</h1>" in path.read_text()


def test_tables_are_shown_and_their_words_escaped(tmp_path):
    table = Table("Words", "12 of 30.", ("Category", "Said"), [("man", "1,200"), ("<script>", "7")])
    write_report(tmp_path / "r.html", ReportData(title="t", metrics={}, tables=[table]))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "What the words mean" in page and '<td class="n">1,200</td>' in page and "<td>man</td>" in page
    assert "<td>&lt;script&gt;</td>" in page
    write_report(tmp_path / "r.html", ReportData(title="t", metrics={}))
    assert "What the words mean" not in (tmp_path / "r.html").read_text(encoding="utf-8")
