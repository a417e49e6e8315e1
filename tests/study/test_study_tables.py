"""Tables of made-up figures: their text, what is tested against what, where the paper's order holds."""

import csv

import pytest

from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.study.ablations import ABLATIONS, ablation_plan
from groundgraph.study.coverage import KNOWN, METHODS, WRONG
from groundgraph.study.plan import Condition, Plan, Row, TableSpec, paper_plan
from groundgraph.study.plots import plot_curves, plot_table
from groundgraph.study.tables import claims, lines
from groundgraph.study.variants import VARIANTS
from groundgraph.study.writing import markdown, printed_claims, printed_table, write_cells, write_means

OURS, SGNLS, LSWS = (Row("vg_caption", "motifs", VARIANTS[name]) for name in ("two-teachers", "sgnls", "lsws"))
SPEC = TableSpec("t", "T: a table", "A note.", (SGNLS, LSWS, OURS), ("R@50", "mAP50"), "R@50", floor=("chance all",))
RESULTS = {
    SGNLS: {s: {"R@50": v, "mAP50": None, "chance all": 0.071} for s, v in enumerate((0.10, 0.11, 0.12))},
    OURS: {s: {"R@50": v, "mAP50": 0.5, "chance all": 0.071} for s, v in enumerate((0.11, 0.13, 0.15))},
    LSWS: {0: {"R@50": 0.2, "mAP50": 0.25}, 2: {"R@50": 0.3, "mAP50": 0.25}},
}


def test_a_table_as_text():
    table = printed_table(SPEC, RESULTS, seeds=3)
    assert table.columns[:5] == ("Setting", "SGG model", "Method", "R@50", "mAP50")
    assert table.columns[5:] == ("R@50 - this method", "p", "paper R@50", "paper mAP50", "seeds")
    sgnls, lsws, ours = table.rows
    # Against ours: differences -1, -2, -3 points, so t = -2 sqrt(3) and p = .0742 with two degrees of freedom.
    assert sgnls == (
        "VG Caption", "Motifs", "SGNLS", "11.00 ± 2.48", "-", "-2.00 ± 2.48", ".074", "8.05", "10.22", "3",
    )  # fmt: skip
    assert ours[3:7] == ("13.00 ± 4.97", "50.00 ± 0.00", "", "") and ours[-3:] == ("10.50", "14.50", "3")
    # Seeds 0 and 2 alone: differences 9 and 15 points.
    assert lsws[3] == "25.00 ± 63.53" and lsws[5].startswith("+12.00 ±") and lsws[-1] == "2"
    assert table.note == "A note. Chance: VG Caption 7.1."
    full = {row: told for row, told in RESULTS.items() if row != LSWS}
    spec = TableSpec("t", "T", "", (SGNLS, OURS), ("R@50",), "R@50", modelled=False)
    assert printed_table(spec, full, 3).columns == (
        "Setting",
        "Method",
        "R@50",
        "R@50 - this method",
        "p",
        "paper R@50",
    )
    text = markdown("A study", ["one fact"], [(table, "t.svg")])
    assert text.startswith("# A study\n\n- one fact\n\n## T: a table\n\nA note.")
    assert "| VG Caption | Motifs | SGNLS | 11.00 ± 2.48 | - |" in text and "![T: a table](t.svg)" in text


def test_rows_that_are_not_computed_have_no_figures():
    told = lines(SPEC, {SGNLS: RESULTS[SGNLS]})
    assert told[2].estimates == {"R@50": None, "mAP50": None} and told[0].against is None
    assert printed_table(SPEC, {}, 3).rows[0][3] == "-"


def test_where_the_papers_order_holds():
    found = {(c.above.variant.name, c.below.variant.name): c for c in claims(SPEC, RESULTS)}
    assert set(found) == {("two-teachers", "sgnls"), ("two-teachers", "lsws"), ("sgnls", "lsws")}
    ours = found["two-teachers", "sgnls"]
    assert ours.paper == (10.50, 8.05) and ours.here.difference.mean == pytest.approx(2.0)
    assert ours.verdict == "not decided"  # p = .074
    clear = RESULTS | {SGNLS: {s: {"R@50": v} for s, v in enumerate((0.01, 0.03, 0.051))}}
    assert [c.verdict for c in claims(SPEC, clear) if c.below is SGNLS] == ["holds"]
    turned = RESULTS | {SGNLS: {s: {"R@50": v} for s, v in enumerate((0.31, 0.33, 0.351))}}
    assert [c.verdict for c in claims(SPEC, turned) if c.below is SGNLS] == ["reversed"]
    table = printed_claims(Plan("p", (SPEC,), (), 3), clear)
    assert "1 holds" in table.note and table.rows[1][:6] == (
        "T", "VG Caption", "Motifs", "this method", "SGNLS", "2.45 R@50",
    )  # fmt: skip


def test_csv(tmp_path):
    plan = Plan("p", (SPEC,), (), 3)
    write_cells(tmp_path / "cells.csv", RESULTS)
    write_means(tmp_path / "means.csv", plan, RESULTS)
    cells = list(csv.DictReader((tmp_path / "cells.csv").open()))
    assert len(cells) == 8 and cells[0]["variant"] == "sgnls" and float(cells[1]["R@50"]) == 0.11
    assert cells[0]["mAP50"] == ""
    means = {(r["variant"], r["metric"]): r for r in csv.DictReader((tmp_path / "means.csv").open())}
    assert (
        float(means["two-teachers", "R@50"]["mean"]) == pytest.approx(13.0)
        and means["two-teachers", "R@50"]["paper"] == "10.5"
    )
    assert ("sgnls", "mAP50") not in means and means["lsws", "R@50"]["seeds"] == "2"


def test_plot(tmp_path):
    assert plot_table(tmp_path / "t.svg", SPEC, RESULTS)
    text = (tmp_path / "t.svg").read_text()
    assert all(word in text for word in ("SGNLS", "this method", "mAP50", "VG Caption, Motifs"))
    plot_table(tmp_path / "again.svg", SPEC, RESULTS)
    assert (tmp_path / "again.svg").read_text() == text
    assert not plot_table(tmp_path / "none.svg", SPEC, {}) and not (tmp_path / "none.svg").exists()


def test_the_plan_has_the_papers_tables_and_every_recipe_loads():
    plan = paper_plan()
    cells = plan.cells
    assert plan.seeds == 5 and len(cells) == 280 and len({cell.name for cell in cells}) == 280
    assert [len(table.rows) for table in plan.tables] == [42, 4, 4, 42, 42, 24, 7, 6]
    assert {cell.seed for cell in cells[:53]} == {0}  # a seed after the other
    for cell in cells[:53]:
        assert cell.recipe.sgg.model == cell.row.model and cell.recipe.data.setting == cell.row.setting
    quick = paper_plan(quick=True)
    assert quick.seeds == 2 and {cell.row.setting for cell in quick.cells} == {"vg_caption"}
    # Table 2's rows differ by what the paper says they differ by.
    told = {cell.row.variant.name: cell.recipe for cell in cells if cell.row in plan.tables[1].rows}
    assert told["mil"].grounder == ("mil",) and told["object"].teachers.interaction is None
    assert not told["interaction"].teachers.object and told["average"].grounding.fusing == "average"


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_vary_one_thing(name):
    plan = ablation_plan(name, seeds=1)
    ablation = ABLATIONS[name]
    assert len(plan.cells) == len(ablation.settings) * len(ablation.values)
    cells = [cell for cell in plan.cells if cell.row.setting == "vg_caption"]
    recipes = {cell.row.variant.title: cell.recipe for cell in cells}
    assert len(recipes) >= 2 and len({recipe.yaml() for recipe in recipes.values()}) == len(recipes)
    # The reference is the recipe as it is, but for what the ablation sets for all.
    own = ablation.changes(ablation.reference)[len(ablation.base) :]
    cell = next(cell for cell in cells if cell.row.variant.title == ablation.reference)
    base = [s for s in cell.settings if s not in own]
    assert load_recipe(find_recipe("minigenome"), base) == recipes[ablation.reference]
    assert all(cell.row.graphs == (name in ("K", "heads", "parser", "relatedness")) for cell in plan.cells)


def test_coverage_has_every_method_under_every_detector():
    plan = ablation_plan("coverage")
    count = len(KNOWN) * len(WRONG) * len(METHODS)
    assert len(plan.cells) == 5 * count and len({cell.name for cell in plan.cells}) == 5 * count
    recipes = {}
    for cell in plan.cells[:count]:
        detector = cell.recipe.detector
        assert cell.row.condition.name == f"{detector.known_categories}-{100 * detector.label_noise:.0f}"
        recipes.setdefault(cell.row.variant.name, []).append(cell.recipe)
    assert {name: len(own) for name, own in recipes.items()} == dict.fromkeys(METHODS, len(KNOWN) * len(WRONG))
    assert all(recipe.teachers.interaction is None for recipe in recipes["object"])
    quick = ablation_plan("coverage", quick=True)
    assert quick.seeds == 2 and {cell.row.condition.name for cell in quick.cells} == {"42-0", "42-40", "10-0", "10-40"}


def test_methods_are_compared_under_one_condition(tmp_path):
    few, many = (Condition(f"{n}", f"{n} kinds", (f"detector.known_categories={n}",), n) for n in (10, 42))
    told = {"object": (0.1, 0.3), "average": (0.2, 0.4)}  # of few, of many
    results, rows = {}, []
    for i, condition in enumerate((few, many)):
        for name, means in told.items():
            row = Row("vg_caption", "motifs", VARIANTS[name], condition=condition)
            rows.append(row)
            results[row] = {seed: {"R@50": means[i] + 0.01 * seed * (name == "average")} for seed in range(3)}
    spec = TableSpec(
        "c", "Coverage: some wrong", "", tuple(rows), ("R@50",), "R@50", "object", modelled=False, curves=("R@50",)
    )
    assert [line.against and round(line.against.difference.mean) for line in lines(spec, results)] == [
        None,
        11,
        None,
        11,
    ]
    table = printed_table(spec, results, 3)
    assert [row[:2] for row in table.rows[1:3]] == [
        ("10 kinds", "MIL + both, averaged"),
        ("42 kinds", "MIL + object-aware"),
    ]
    write_means(tmp_path / "means.csv", Plan("p", (spec,), (), 3), results)
    keys = [(row["condition"], row["variant"]) for row in csv.DictReader((tmp_path / "means.csv").open())]
    assert keys == [("10", "object"), ("10", "average"), ("42", "object"), ("42", "average")]

    assert plot_curves(tmp_path / "c.svg", [spec], results)
    text = (tmp_path / "c.svg").read_text()
    assert all(
        word in text for word in ("some wrong", "MIL + both, averaged", "R@50, per cent", "kinds that the detector")
    )
    plot_curves(tmp_path / "again.svg", [spec, SPEC], results)  # a table without curves is none of its panels
    assert (tmp_path / "again.svg").read_text() == text
    assert not plot_curves(tmp_path / "none.svg", [SPEC], RESULTS) and not plot_curves(
        tmp_path / "none.svg", [spec], {}
    )


def test_an_unknown_ablation_names_the_known():
    with pytest.raises(ValueError, match="choose one of K, alpha"):
        ablation_plan("beta")
