"""Uniter's two forms: one sequence an image, and one a pair of regions as SGNLS has it.

    python benchmarks/uniter.py [--threads 1] [--repeats 1]

The recipe `vg-caption-ours-uniter` (two layers, 768 wide), VG150's sizes: from one image's 36 regions, 1,260 pairs, to
its graph; and a training step of 8 images with 16 pairs each, forward and backward. Processor time, medians of turns.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json

import torch
from motifs import SIZES, batch_of, regions_of, steps, times

from groundgraph.sgg.inference import predict
from groundgraph.sgg.uniter import Uniter
from groundgraph.stages.recipe import find_recipe, load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = load_recipe(find_recipe("vg-caption-ours-uniter")).sgg
    forms = {f: Uniter(SIZES, config.uniter.model_copy(update={"sequence": f})) for f in ("image", "pair")}
    one, batch, result = regions_of(36, 0), batch_of([36] * 8, 16), {}
    for case, calls in (
        ("step", {form: steps(model, batch, True)["step"] for form, model in forms.items()}),
        ("image", {form: lambda m=model: predict(m.eval(), [one], config.inference) for form, model in forms.items()}),
    ):
        seconds = times(calls, arguments.repeats)
        result[case] = {
            f"a sequence an {form}: s" if form == "image" else "a sequence a pair: s": s for form, s in seconds.items()
        }
        result[case]["an image's: times as fast"] = seconds["pair"] / seconds["image"]
        print(f"{case}: {result[case]}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
