"""The README's tables are the committed study's, to the last digit that they show."""

import csv
import math
import re
import statistics
from pathlib import Path

import pytest
from scipy import stats

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
NAMES = {
    "SGNLS": "sgnls",
    "WSGM": "wsgm",
    "LSWS": "lsws",
    "VSPNet": "vspnet",
    "LSWS's grounder": "lsws-grounder",
    "VSPNet's grounder": "vspnet-grounder",
    "this method": "two-teachers",
    "pairs of regions": "pairs",
    "pairs of regions (ours)": "pairs",
    "MIL alone": "mil",
    "MIL + object-aware": "object",
    "MIL + interaction-aware": "interaction",
    "MIL + both, averaged": "average",
    "MIL + both, self-guided": "self",
    "MIL + both, expert-guided (this method)": "two-teachers",
    "this method, soft labels": "soft",
    "annotated boxes (bound)": "full",
}
SETTINGS = {
    "Unlocalized Graph": "unlocalized_graph",
    "VG Caption": "vg_caption",
    "COCO Caption": "coco_caption",
}
METRICS = {
    "grounding, all": "grounding all",
    "ambiguous": "grounding ambiguous",
    "unseen": "grounding unseen",
    "SGDet R@50": "R@50",
    "mAP50": "mAP50",
}


def figures(setting, model, variant, metric):
    """A cell's five figures, from the one file that holds every seed's."""
    with (RESULTS / "study-cells.csv").open() as file:
        rows = [
            r for r in csv.DictReader(file) if [r["setting"], r["model"], r["variant"]] == [setting, model, variant]
        ]
    return [100 * float(row[metric]) for row in rows]


def tables():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    return [
        [[c.strip(" *") for c in line.strip("|\n").split("|")] for line in t.splitlines() if "---" not in line]
        for t in found
    ]


def shown(cell):
    """(mean, half an interval, the paper's) of "75.6 ± 0.5 (9.3)"."""
    mean, half, paper = re.fullmatch(r"(\d+\.\d)(?: ± (\d+\.\d))?(?: \((\d+\.\d)\))?", cell).groups()
    return float(mean), half and float(half), paper and float(paper)


def same(told, exact):
    return abs(told - exact) <= 0.0501  # rounded, either way at a half


def test_the_first_table_is_the_studys():
    (table,) = [t for t in tables() if "VG Caption, Motifs" in t[0]]
    with (RESULTS / "study.csv").open() as file:
        papers = {(r["setting"], r["model"], r["variant"], r["metric"]): r["paper"] for r in csv.DictReader(file)}
    count = 0
    for name, *cells in table[1:]:
        for column, cell in zip(table[0][1:], cells, strict=True):
            setting, model = column.split(", ")
            if not cell:
                assert model == "Uniter" and name in ("LSWS", "VSPNet")  # whole systems
                continue
            key = SETTINGS[setting], model.lower(), NAMES[name], "R@50"
            values, (mean, half, paper) = figures(*key), shown(cell)
            assert len(values) == 5 and same(mean, statistics.mean(values))
            assert same(half, stats.t.ppf(0.975, 4) * statistics.stdev(values) / math.sqrt(5))
            assert (paper is None) == (not papers[key]) and (paper is None or same(paper, float(papers[key])))
            count += 1
    assert count == 6 * 6 + 2 * 3


def test_the_second_table_is_the_studys():
    (table,) = [t for t in tables() if "SGDet R@50" in t[0]]
    count = 0
    for name, *cells in table[1:]:
        for column, cell in zip(table[0][1:], cells, strict=True):
            if not cell:
                continue
            count += 1
            if name == "chance":
                metric = METRICS[column].replace("grounding", "chance")
                assert same(shown(cell)[0], statistics.mean(figures("vg_caption", "motifs", "two-teachers", metric)))
                continue
            values, (mean, half, _) = figures("vg_caption", "motifs", NAMES[name], METRICS[column]), shown(cell)
            assert len(values) == 5 and same(mean, statistics.mean(values))
            assert same(half, stats.t.ppf(0.975, 4) * statistics.stdev(values) / math.sqrt(5))
    assert count == 3 + 7 * 5 + 2 * 2


def test_the_table_of_coverage_is_its_csvs():
    with (RESULTS / "coverage.csv").open() as file:
        means = {(r["condition"], r["variant"], r["metric"]): float(r["mean"]) for r in csv.DictReader(file)}
    rows = re.findall(
        r"^\| (\d+) \| (\d+) % \| ([^\n]* / [^\n]*) \|$", (RESULTS / "coverage.md").read_text(encoding="utf-8"), re.M
    )
    assert len(rows) == 12
    for kinds, wrong, cells in rows:
        for variant, cell in zip(("object", "interaction", "average", "pairs"), cells.split(" | "), strict=True):
            told = map(float, cell.split(" / "))
            for metric, value in zip(("R@50", "grounding all", "triplet precision"), told, strict=True):
                assert same(value, means[f"{kinds}-{wrong}", variant, metric])


@pytest.mark.parametrize(
    "verdict, words", [("holds", "hold"), ("reversed", "are reversed"), ("not decided", "are not decided")]
)
def test_the_orders_are_counted_as_the_study_has_them(verdict, words):
    count = len(re.findall(rf"\| {verdict} \|$", (RESULTS / "study.md").read_text(encoding="utf-8"), re.M))
    assert count and f"{count} {words}" in (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
