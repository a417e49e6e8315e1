"""Our parser against the registry's rule-based one (`scenegraphparser`): quality by one scorer, and speed, in one run.

    pip install -e ".[bench]"
    pip install --no-deps factualscenegraph nltk tabulate  # if wanted; what it asks for would put an older torch here
    python benchmarks/parsing.py [CSV]

CSV is a FACTUAL-style file, ../shared/data/factual/dev.csv by default. Both parsers run the same spaCy model, each as
its documentation shows: ours takes a list of captions, the reference one caption at a time. Repetitions alternate, and
a parser's time is its best. The share of captions whose whole graph is right is FACTUAL's set match; where
`factualscenegraph` is installed, its own scorer checks that share caption by caption and adds its SPICE (synonyms
within a graph are not merged). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from needs import needs

from groundgraph.evaluation.gold_graphs import Fact, read_gold
from groundgraph.evaluation.parsing import fact_sets, parsed_facts, score_facts
from groundgraph.language import load_parser
from groundgraph.language.lemmas import MODEL
from groundgraph.language.words import NUMBERS

DEFAULT = Path(__file__).parents[2] / "shared/data/factual/dev.csv"
REPEATS = 5


def reference_facts(graph: dict) -> list[Fact]:
    """The reference's graph as facts, in its favour: articles are no attributes, numbers are digits as in FACTUAL."""
    entities = graph["entities"]
    names = [entity["lemma_head"] for entity in entities]
    facts: list[Fact] = [(name,) for name in names]
    for name, entity in zip(names, entities, strict=True):
        for modifier in entity["modifiers"]:
            if modifier["dep"] != "det":
                word = modifier["lemma_span"]
                facts.append((name, "is", NUMBERS.get(word, word)))
    relations = graph["relations"]
    return facts + [(names[r["subject"]], r["lemma_relation"], names[r["object"]]) for r in relations]


def timed(parsers: dict[str, Callable[[Sequence[str]], list]], captions: Sequence[str]) -> tuple[dict, dict]:
    """What each parser gives for the captions, and how many of them it reads a second, at best of REPEATS."""
    parsed, best = {}, dict.fromkeys(parsers, float("inf"))
    for parse in parsers.values():
        parse(captions[:20])
    for _ in range(REPEATS):
        for name, parse in parsers.items():
            began = time.perf_counter()
            parsed[name] = parse(captions)
            best[name] = min(best[name], time.perf_counter() - began)
    return parsed, {name: len(captions) / seconds for name, seconds in best.items()}


def written(facts: Sequence[Fact]) -> str:
    """The lemmatised facts of a caption as FACTUAL writes a graph."""
    return " , ".join(f"( {' , '.join(fact)} )" for fact in sorted(fact_sets(facts)["all"]))


def field_scores(predicted: Sequence[Sequence[Fact]], true: Sequence[Sequence[Fact]]) -> dict[str, float]:
    """Set match, ours and the field's (they must agree), and the field's SPICE, as means over captions."""
    exact = [fact_sets(a)["all"] == fact_sets(b)["all"] for a, b in zip(predicted, true, strict=True)]
    scores = {"set_match": sum(exact) / len(exact)}
    try:
        from factual_scene_graph.evaluation.set_match_evaluation import eval_set_match
        from factual_scene_graph.evaluation.spice_evaluation import eval_spice
    except ImportError as error:
        print(f"factualscenegraph's own scores are left out ({error})")
        return scores
    graphs = [(written(a), written(b)) for a, b in zip(predicted, true, strict=True)]
    theirs = [bool(eval_set_match(a, [b])) for a, b in graphs]
    if theirs != exact:
        raise SystemExit(
            f"set match differs from factualscenegraph's on {sum(map(bool.__ne__, theirs, exact))} captions"
        )
    spice = [eval_spice(a, [b], merge_tuples_synonyms=False) for a, b in graphs]
    return scores | {"spice": sum(spice) / len(spice)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("csv", nargs="?", type=Path, default=DEFAULT)
    gold = read_gold(arguments.parse_args().csv)
    import sng_parser  # the reference; the benchmark's only use of it

    reference = sng_parser.Parser("spacy", model=MODEL)
    ours = load_parser("rules")
    parsed, speed = timed(
        {"groundgraph": ours.parse, "reference": lambda captions: [reference.parse(text) for text in captions]},
        gold.captions,
    )
    predicted = {
        "groundgraph": [parsed_facts(caption) for caption in parsed["groundgraph"]],
        "reference": [reference_facts(graph) for graph in parsed["reference"]],
    }
    true = [graph.facts for graph in gold.graphs]
    figures: dict = {"captions": len(gold.captions), "ratio": round(speed["groundgraph"] / speed["reference"], 2)}
    for name, facts in predicted.items():
        scores = score_facts(facts, true)
        for group, score in scores.items():
            print(f"{name:12} {group:11}", *(f"{measure} {value:.3f}" for measure, value in score.items()))
        field = field_scores(facts, true)
        print(f"{name:12}", *(f"{measure} {value:.3f}" for measure, value in field.items()))
        print(f"{name:12} {speed[name]:.0f} captions a second")
        figures[name] = {group: round(score["f1"], 4) for group, score in scores.items()}
        figures[name] |= {measure: round(value, 4) for measure, value in field.items()}
        figures[name]["captions_a_second"] = round(speed[name])
    print(json.dumps(figures))


if __name__ == "__main__":
    with needs():
        main()
