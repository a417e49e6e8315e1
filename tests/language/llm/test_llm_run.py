"""A run whose captions a language model on this machine reads: what its stages write, count and skip a second time."""

import json

from PIL import Image
from tiny import ANSWERS, save_tiny
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.language.llm.parser import PARAPHRASES
from groundgraph.language.llm.prompts import conversation
from groundgraph.language.llm.respondent import KEPT, SENT

CAPTION, OTHER = "a man riding a horse", "a red bus"
PARAPHRASE = {
    "paraphrase": "A rider sits on a horse.",
    "entities": ["rider", "horse"],
    "triplets": [["rider", "sitting on", "horse"]],
}


def check(folder, *settings):
    words = ["data", "check", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
    result = CliRunner().invoke(app, words + [word for key in settings for word in ("--set", key)])
    assert result.exit_code == 0, result.output
    return json.loads((folder / "run" / "parsed" / "stage.json").read_text())["counts"]


def test_a_run_reads_captions_and_paraphrases_and_asks_nothing_twice(tmp_path):
    answers = {conversation("triplets", c): ANSWERS[c] for c in (CAPTION, OTHER)}
    answers |= {
        conversation("paraphrase", CAPTION): PARAPHRASE,
        conversation("paraphrase", OTHER): {"paraphrase": "A bus that is red.", "entities": ["bus"], "triplets": []},
    }
    model = save_tiny(tmp_path / "model", answers)
    (tmp_path / "photos").mkdir()
    lines = [("1.png", [CAPTION, OTHER]), ("2.png", [OTHER])]
    for name, _ in lines:
        Image.new("RGB", (32, 32)).save(tmp_path / "photos" / name)
    rows = [json.dumps({"image": name, "captions": captions}) for name, captions in lines]
    (tmp_path / "captions.jsonl").write_text("\n".join(rows))
    (tmp_path / "recipe.yaml").write_text(
        """
name: tiny
data: {source: jsonl, images: photos, captions: captions.jsonl}
parser: {name: llm, model: model, paraphrase: true, max_tokens: 80}
vocabulary: {name: vg150}
device: cpu
"""
    )
    counts = check(tmp_path)
    assert counts[SENT] == 4 and counts[PARAPHRASES] == 1 and counts["captions"] == 4 and counts["triplets"] == 2
    images = [json.loads(line) for line in (tmp_path / "run" / "parsed" / "train.jsonl").read_text().splitlines()]
    texts = [[caption["text"] for caption in image["captions"]] for image in images]
    assert texts == [[CAPTION, OTHER, PARAPHRASE["paraphrase"]], [OTHER]]
    counts = check(tmp_path, "parser.batch_size=1", "parser.prices=[1, 2]")
    assert counts[SENT] == 4  # how it is asked decides nothing: the stage is not done again
    counts = check(tmp_path, "parser.paraphrase=false")
    assert SENT not in counts and counts[KEPT] == 2 and counts["captions"] == 3
    assert str(model) in (tmp_path / "run" / "recipe.yaml").read_text()
