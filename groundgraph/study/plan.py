"""What the study computes: methods as changes of a recipe, the paper's tables as rows of them.

A cell is one row with one seed. What it computes is a bundled recipe with some keys changed, so that every cell can be
run by hand: `groundgraph run minigenome --set grounder=two-teachers --set grounding.fusing=average --set seed=3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from groundgraph.stages.recipe import Recipe, bundled_recipes, find_recipe, load_recipe
from groundgraph.study.variants import SINCE_2022, SYSTEMS, VARIANTS, Variant

SETTINGS = {
    "unlocalized_graph": ("minigenome-unlocalized", "unlocalized"),
    "vg_caption": ("minigenome", "vg-caption"),
    "coco_caption": ("minigenome-coco", "coco-caption"),
}  # setting -> MiniGenome's recipe, and how the names of the paper's own recipes begin
MODELS = ("motifs", "uniter")
RECALLS = ("R@5", "R@10", "R@20", "R@50", "R@100")
GROUNDING = ("grounding all", "grounding ambiguous", "grounding unseen")
SCORES = ("F1@50", "precision", "recall", "F1", "ECE")  # of what is shown by default, and of the ten best
PRECISION = "triplet precision"  # of the pseudo labels: both best regions are right
QUALITY = ("box recall@1", "box recall@3", PRECISION)
# A cell of FULL takes some 32 seconds of a core, of QUICK some 11, a grounder 12 to 36, or 7: all of the study about 70
# minutes on two cores, the quick one about 5.
FULL = ("data.train=1500", "data.validation=200", "data.test=1000")
QUICK = ("data.train=600", "data.validation=100", "data.test=300", "sgg.training.epochs=6")


@dataclass(frozen=True)
class Condition:
    """What methods are compared under: a name of files, a title in tables, keys of the recipe, its place on a curve."""

    name: str
    title: str
    settings: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Row:
    """A table's row.

    Attributes:
        graphs: A scene-graph model is trained; otherwise the grounder alone is measured, model "none".
        condition: None: the recipe's own.
    """

    setting: str
    model: str
    variant: Variant
    graphs: bool = True
    condition: Condition | None = None

    @property
    def group(self) -> tuple[str, str, Condition | None]:
        """What is compared lies within one setting, one SGG model and one condition."""
        return self.setting, self.model, self.condition

    @cached_property
    def paper(self) -> dict[str, float]:
        """The paper's figures of this row, in per cent; empty where it has none."""
        ending = "" if self.model == "motifs" else f"-{self.model}"
        name = f"{SETTINGS[self.setting][1]}-{self.variant.recipe or self.variant.name}{ending}"
        return dict(load_recipe(find_recipe(name)).paper) if name in bundled_recipes() else {}


@dataclass(frozen=True)
class Cell:
    """A row with one seed, at some size (settings that every cell shares)."""

    row: Row
    seed: int
    size: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its file's name, without the ending."""
        row = self.row
        condition = (row.condition.name,) if row.condition else ()
        return "-".join((row.setting, row.model, row.variant.name, *condition, str(self.seed)))

    @property
    def settings(self) -> list[str]:
        """What it changes in its recipe."""
        model = (f"sgg.model={self.row.model}",) if self.row.graphs else ()
        condition = self.row.condition.settings if self.row.condition else ()
        return [*self.size, *model, *condition, *self.row.variant.settings, f"seed={self.seed}"]

    @property
    def recipe(self) -> Recipe:
        """What is run."""
        return load_recipe(find_recipe(SETTINGS[self.row.setting][0]), self.settings)

    @property
    def method(self) -> str:
        """The one method of its recipe."""
        return self.recipe.first_method

    @property
    def images(self) -> dict[str, int]:
        """How many of MiniGenome's images each split has."""
        recipe = self.recipe
        return {split: getattr(recipe.data, split) for split in recipe.splits}


@dataclass(frozen=True)
class TableSpec:
    """A table of means over seeds.

    Attributes:
        metrics: The columns, as named in a cell's figures.
        tested: The figure in which others are tested against the reference.
        reference: The variant that the others of its group are tested against.
        floor: Figures of chance, for the note.
        modelled: The scene-graph model is named; False where the figures are the grounder's, or it is one for all rows.
        curves: Figures that are drawn over the rows' conditions, a line a method, instead of the table's dots.
    """

    name: str
    title: str
    note: str
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    tested: str
    reference: str = "two-teachers"
    floor: tuple[str, ...] = ()
    modelled: bool = True
    curves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A study: its tables, how large each cell is, and how many seeds."""

    name: str
    tables: tuple[TableSpec, ...]
    size: tuple[str, ...]
    seeds: int

    @property
    def cells(self) -> list[Cell]:
        """Every cell once, all of a seed before the next: a study that is broken off has whole seeds."""
        rows = dict.fromkeys(row for table in self.tables for row in table.rows)
        return [Cell(row, seed, self.size) for seed in range(self.seeds) for row in rows]


def rows(settings: Iterable[str], models: Iterable[str], variants: Iterable[str]) -> tuple[Row, ...]:
    """Every combination, in the order of a printed table; whole systems stand beside Motifs, as the paper has them."""
    chosen = [VARIANTS[name] for name in variants]
    return tuple(Row(s, m, v) for s in settings for m in models for v in chosen if not v.whole or m == MODELS[0])


def paper_tables(
    settings: Sequence[str] = tuple(SETTINGS), models: Sequence[str] = MODELS, variants: Sequence[str] = tuple(VARIANTS)
) -> tuple[TableSpec, ...]:
    """The paper's Tables 1 to 4, then grounding accuracy, soft labels and the supervised bound.

    What the paper tried on VG Caption with Motifs is tried there alone.

    Args:
        settings: Keys of SETTINGS.
        models: Of MODELS.
        variants: Keys of VARIANTS.
    """

    def kept(*names: str) -> tuple[str, ...]:
        return tuple(name for name in names if name in variants)

    one, motifs = [s for s in settings if s == "vg_caption"], [m for m in models if m == "motifs"]
    systems, both = rows(settings, models, kept(*SYSTEMS)), "VG Caption, Motifs"
    fused = kept("mil", "object", "interaction", "average", "self", "product")
    grounders = [name for name in kept(*SYSTEMS) if not VARIANTS[name].whole]
    accuracy = [*rows(settings, motifs, grounders), *rows(one, motifs, fused)]
    accuracy.sort(key=lambda row: list(settings).index(row.setting))
    tables = (
        TableSpec(
            "table1",
            "Table 1: scene graphs from weak supervision",
            "SGDet. LSWS and VSPNet are whole systems; their grounders feed the same scene-graph model as the others.",
            systems,
            (*RECALLS, PRECISION),
            "R@50",
        ),
        TableSpec(
            "table2",
            f"Table 2: knowledge sources ({both})",
            "SGDet.",
            rows(one, motifs, kept("mil", "object", "interaction", "average")),
            (*RECALLS, PRECISION),
            "R@50",
            "average",
        ),
        TableSpec(
            "table3",
            f"Table 3: fusing strategies ({both})",
            'SGDet. "This method" is expert-guided; the paper has no product.',
            rows(one, motifs, kept("average", "self", "two-teachers", "product")),
            RECALLS,
            "R@50",
        ),
        TableSpec("table4", "Table 4: object detection", "mAP at IoU 0.5.", systems, ("mAP50",), "mAP50"),
        TableSpec(
            "scores",
            "What the scores mean",
            "F1@50 is the harmonic mean of R@50 and mR@50. Precision, recall and F1 are of the relations shown "
            "by default, from the score at which half of the validation images' are right; ECE (15 bins) is of each "
            "image's ten best, the lower the better.",
            systems,
            SCORES,
            "F1@50",
        ),
        TableSpec(
            "grounding",
            "Grounding accuracy",
            "Share of the entities whose best region is right: all, those whose image shows another of their kind, and "
            "those of a kind the detector does not know.",
            tuple(accuracy),
            GROUNDING,
            "grounding all",
            floor=("chance all", "chance ambiguous", "chance unseen"),
            modelled=False,
        ),
        TableSpec(
            "since2022",
            "Since 2022 (VG Caption)",
            "SGDet, and mAP at IoU 0.5. The detector alone grounds each phrase by its surest region of that name. "
            "LLM4SGG-like: the captions' true triplets, the most that a language model could read, and reweighted "
            "predicates. ACC-like: a third teacher, who looks for both ends of a triplet near each other, since the "
            "bundled detector reads no phrases.",
            rows(one, motifs, kept(*SINCE_2022)),
            (*RECALLS[2:], "mR@50", "F1@50", "mAP50", PRECISION),
            "R@50",
        ),
        TableSpec(
            "bounds",
            "Soft labels, and full supervision as the upper bound (VG Caption)",
            "SGDet, and mAP at IoU 0.5.",
            rows(one, models, kept("two-teachers", "soft", "full")),
            (*RECALLS, "mAP50"),
            "R@50",
        ),
    )
    return tuple(table for table in tables if len(table.rows) > 1)


def paper_plan(seeds: int | None = None, quick: bool = False) -> Plan:
    """The study: all of it with five seeds, or, quick, VG Caption on a few hundred images with two."""
    tables = paper_tables(settings=["vg_caption"]) if quick else paper_tables()
    return Plan("study", tables, QUICK if quick else FULL, seeds or (2 if quick else 5))
