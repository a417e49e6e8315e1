"""When each teacher is worth it: by how many kinds the detector knows, and how many of its labels are wrong."""

from __future__ import annotations

from groundgraph.study.plan import GROUNDING, Condition, Plan, Row, TableSpec
from groundgraph.study.variants import VARIANTS

KNOWN = (42, 30, 20, 10)  # of MiniGenome's 53 kinds; the bundled detector knows 42
WRONG = (0, 20, 40)  # per cent of the labels
METHODS = ("object", "interaction", "average", "pairs")
# A cell takes some 11 seconds of a core: all of them some 45 minutes.
SIZE = ("data.train=500", "data.validation=100", "data.test=400", "grounding.epochs=10", "sgg.training.epochs=4")


def coverage_plan(seeds: int | None = None, quick: bool = False) -> Plan:
    """Every method under every coverage and noise of the detector, on VG Caption with Motifs: a table a noise.

    Args:
        seeds: How many; None: five, or two of a quick one.
        quick: The least and the most coverage and noise alone.
    """
    known, wrong = (KNOWN[::3], WRONG[::2]) if quick else (KNOWN, WRONG)
    tables = tuple(
        TableSpec(
            f"coverage-{noise}",
            f"Coverage: {noise} % of the detector's labels wrong",
            "By how many kinds it knows; the other kinds' regions have no label (VG Caption, Motifs). SGDet; grounding "
            "accuracy; triplet precision: both of a training triplet's best regions are right.",
            tuple(
                Row("vg_caption", "motifs", VARIANTS[method], condition=_condition(kinds, noise))
                for kinds in known
                for method in METHODS
            ),
            ("R@5", "R@10", "R@20", "R@50", "R@100", *GROUNDING, "triplet precision", "mAP50"),
            "R@50",
            "object",
            modelled=False,
            curves=("R@50", "grounding all", "triplet precision"),
        )
        for noise in wrong
    )
    return Plan("ablation-coverage", tables, SIZE, seeds or (2 if quick else 5))


def _condition(kinds: int, noise: int) -> Condition:
    settings = f"detector.known_categories={kinds}", f"detector.label_noise={noise / 100}"
    return Condition(f"{kinds}-{noise}", f"{kinds} kinds", settings, kinds)
