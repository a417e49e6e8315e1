import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from groundgraph.report.html import Case, GraphPicture, ReportData, Table, write_report

VOID = {"meta", "img", "link", "br"}
METRICS = {
    "methods": {
        "mil": {
            "grounding": {"all": 0.25, "ambiguous": 0.2, "unseen": None},
            "sgdet": {"R@20": 0.01, "R@50": 0.02, "R@100": 0.0304},
            "mAP50": 0.1,
        },
        "ours": {
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
        self.open, self.tables, self.tags, self.text, self.captions = [], {}, [], "", 0
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == "table":
            self.table = self.tables[attributes["id"]] = []
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
        self.text += data
        if "strong" in self.open:
            data = f"*{data}*"
        if {"td", "th"} & set(self.open):
            self.table[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def written(tmp_path):
    def write(**parts) -> Page:
        path = tmp_path / "run" / "report.html"
        write_report(path, ReportData(**{"title": "A run", "metrics": METRICS, **parts}))
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
    assert written(metrics=metrics).tables["headline"][1][1:3] == ["50.0", "-"]


def test_counts_seconds_and_config(written):
    page = written(seconds={"parse": 12.34, "train": 100}, config_yaml="seed: 7 # <none>")
    assert page.tables["counts"][1:] == [["images, train", "4,000"], ["images, test", "80"], ["captions", "12,345"]]
    assert page.tables["seconds"][1:] == [["parse", "12.3 s"], ["train", "1 min 40 s"], ["together", "1 min 52 s"]]
    assert "seed: 7 # <none>" in page.text


def test_nothing_is_loaded_and_everything_is_described(written):
    page = written(cases=[case()], graphs=[GraphPicture(Image.new("RGB", (9, 9)), "c", ["man on hat"])])
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    for _, attributes in page.tags:
        assert all(value is None or ("http:" not in value and "https:" not in value) for value in attributes.values())
        assert not any(name.startswith("on") for name in attributes)
    images = page.all("img")
    assert len(images) == 3 and all(image["alt"] for image in images)
    assert all(image["src"].startswith("data:image/") for image in images)
    assert len(page.all("caption")) == len(page.all("table"))
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1


def test_cases(written):
    page = written(cases=[case()])
    assert [mark["class"] for mark in page.all("mark")] == ["e0", "e1"]
    assert "a man rides a horse" in page.text
    first, second = page.all("img")
    assert first["alt"] == "True boxes: boxes for man, horse"
    assert second["alt"] == "MIL alone (no teacher): boxes for man"
    text = re.sub(r"\s+", " ", page.text)
    assert "✓ right: man ✗ wrong: horse (no box)" in text
    picture = Image.open(io.BytesIO(base64.b64decode(first["src"].split(",")[1])))
    assert picture.size == (480, 480)


def test_overlapping_spans_keep_the_caption_whole(written):
    page = written(
        cases=[case(spans=[(2, 12), (8, 19), (0, 0)], answers={"truth": [None] * 3}, correct={})],
    )
    assert "a man rides a horse" in page.text and len(page.all("mark")) == 1


def test_a_case_of_unequal_lengths_is_an_error(written):
    with pytest.raises(ValueError, match="mil has 1 boxes for 2 entities"):
        written(cases=[case(answers={"mil": [None]}, correct={})])
    with pytest.raises(ValueError, match="mil has 3 verdicts for 2 entities"):
        written(cases=[case(correct={"mil": [True] * 3})])


def test_markup_comes_out_as_text(written):
    evil = '<script>alert("x")</script>'
    page = written(
        title=evil,
        config_yaml=evil,
        cases=[case(caption=evil, spans=[(0, 8)], answers={evil: [None]}, correct={evil: [False]})],
        graphs=[GraphPicture(Image.new("RGB", (9, 9)), evil, [evil])],
        curves={evil: {evil: [1.0, 2.0]}},
        skipped=[(evil, evil)],
        seconds={evil: 1},
        metrics={"methods": {evil: {}}, "counts": {evil: evil}},
    )
    assert not page.all("script")
    assert page.text.count(evil) >= 12


def test_curves(written):
    page = written(
        curves={"loss": {"train": [4.0, 2.0, float("nan"), 0.0], "validation": [1.0]}, "empty": {"none": []}}
    )
    # Four values over 560 px, 200 px high, from 0 at the bottom to 4 at the top; the third is no number.
    assert [line["points"] for line in page.all("polyline")] == ["0.0,0.0 186.7,100.0 560.0,200.0"]
    assert page.all("circle")[0]["cy"] == "150.0"
    labels = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert labels == ["loss; train from 4 to 0; validation from 1 to 1", "empty"]
    long = written(curves={"loss": {"train": [1.0] * 599 + [3.0]}}).all("polyline")[0]["points"].split()
    assert len(long) == 300 and long[-1] == "560.0,0.0" and long[0] == "0.0,200.0"


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
    assert "&lt;script&gt;" in page and "<script>" not in page
    write_report(tmp_path / "r.html", ReportData(title="t", metrics={}))
    assert "What the words mean" not in (tmp_path / "r.html").read_text(encoding="utf-8")
