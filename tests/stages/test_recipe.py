"""Every bundled recipe loads, extends what it says and dry-runs; the paper's tables are all there."""

import json
import pickle
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine.dry_run import done_stages
from groundgraph.engine.run import Run
from groundgraph.stages import stages as stages_of
from groundgraph.stages.preflight import needs
from groundgraph.stages.recipe import OLD_KEYS, RecipeError, bundled_recipes, find_recipe, load_recipe

METHOD = Path(__file__).parents[2].parent / "shared" / "METHOD.md"


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_bundled_recipe_loads_and_dry_runs(name, tmp_path):
    recipe = load_recipe(find_recipe(name))
    assert recipe.name == name and recipe.note
    run = Run(recipe, tmp_path / "run", Console(quiet=True))
    stages = list(done_stages(run, stages_of(recipe)))
    first = ["vocabulary", "regions"]
    if recipe.vocabulary.name == "induced" and recipe.detector.kind != "open-vocabulary":
        first.reverse()  # an induced vocabulary takes names that the detector has
    wanted = ["examples", "parsed", *first, "concepts", "matches"]
    wanted += ["text"] * recipe.needs_text + ["teachers"] * (recipe.interaction is not None)
    assert stages[: len(wanted)] == wanted and stages[-2:] == ["evaluation", "report"]
    assert all(f"sgg-{m}" in stages for m in recipe.methods)
    assert all((f"grounding-{name}" in stages) == method.grounds for name, method in recipe.methods.items())
    assert ("reliability" in stages) == recipe.needs_expert
    assert all(need.what and need.place for need in needs(recipe))
    assert not run.folder.exists()
    (tmp_path / "again.yaml").write_text(recipe.yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe  # what a run keeps of it stands alone


SETTINGS = {"Unlocalized Graph": "unlocalized", "VG Caption": "vg-caption", "COCO Caption": "coco-caption"}
ABLATIONS = {
    "mil": (2.79, 3.63, 4.37),
    "object": (6.42, 8.41, 9.86),
    "interaction": (6.40, 8.52, 9.98),
    "average": (8.14, 10.23, 11.48),
    "self": (8.27, 10.38, 11.78),
}


@pytest.mark.skipif(not METHOD.is_file(), reason="the specification is not here")
def test_every_row_of_the_papers_table_is_a_recipe_with_its_figures():
    rows = re.findall(
        r"^\| (\w+ \w+) \| (-|Motifs|Uniter) \| ([\w ]+) \| (.+) \| (.+) \| (.+) \|$", METHOD.read_text(), re.M
    )
    assert len(rows) == 16
    for setting, model, method, *figures in rows:
        own = method == "this method"
        method = "two-teachers" if own else method.lower()
        name = f"{SETTINGS[setting]}-{'ours' if own else method}" + ("-uniter" if model == "Uniter" else "")
        recipe = load_recipe(find_recipe(name))
        assert tuple(recipe.methods) == (method,) and recipe.sgg.model == ("uniter" if model == "Uniter" else "motifs")
        assert recipe.data.setting == {"unlocalized": "unlocalized_graph"}.get(
            SETTINGS[setting], SETTINGS[setting].replace("-", "_")
        )
        keys = ("R@20", "R@50", "R@100")
        assert {k: v for k, v in recipe.paper.items() if k in keys} == {
            k: float(v) for k, v in zip(keys, figures, strict=True) if v != "-"
        }


def test_the_ablations_differ_from_the_main_row_in_what_they_are_named_for():
    main = load_recipe(find_recipe("vg-caption-ours"))
    assert main.needs_expert and main.grounding.learning_rate == 1e-4 and main.pseudo_labels.top == 3
    found = {name: load_recipe(find_recipe(f"vg-caption-{name}")) for name in ABLATIONS}
    for name, figures in ABLATIONS.items():
        assert tuple(found[name].paper.values()) == figures
        assert found[name].sgg == main.sgg and found[name].data == main.data and not found[name].needs_expert
    assert found["mil"].grounder == ("mil",)
    assert found["object"].teachers.interaction is None and found["object"].teachers.object
    assert found["interaction"].teachers.interaction and not found["interaction"].teachers.object
    for name in ("average", "self"):
        assert found[name].grounding.fusing == name
        assert found[name].teachers.interaction == main.teachers.interaction and found[name].teachers.object
    assert load_recipe(find_recipe("unlocalized-ours")).grounding.learning_rate == 1e-3


def test_the_official_release_is_official():
    recipe = load_recipe(find_recipe("official-release"))
    choices = recipe.grounding
    assert choices.fusing == "self" and choices.learning_rate == 1e-3 and choices.scheme == "entities"
    assert recipe.interaction.area == "pixels"
    assert not choices.mil_sigmoid and choices.mil_decay and choices.dropout_on == "product" and choices.normalise
    assert (recipe.pseudo_labels.top, recipe.pseudo_labels.stored) == (3, 5)
    assert recipe.sgg.motifs.union == "none" and not recipe.sgg.motifs.frequency_bias
    assert recipe.sgg.training.precision == "fp16" and recipe.sgg.training.learning_rate == pytest.approx(1e-4 * 32)


def test_official_is_the_released_scale_of_eq_7_unless_that_is_given():
    def area(*settings):
        interaction = load_recipe(find_recipe("demo"), ["grounding.official=true", *settings]).interaction
        return interaction and interaction.area

    assert area() == "pixels" and area("teachers.interaction.temperature=2") == "pixels"
    assert area("teachers.interaction.area=cells") == "cells" and area("teachers.interaction=null") is None
    assert load_recipe(find_recipe("demo")).interaction.area == "cells"


def write(folder, name, text):
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def test_a_recipe_takes_over_what_it_does_not_say(tmp_path):
    write(tmp_path, "base", "extends: demo\nname: base\nnote: n\npaper: {R@20: 1.0}\ngrounding: {epochs: 3}\nseed: 4")
    recipe = load_recipe(
        write(tmp_path, "top", "extends: base.yaml\nname: top\ngrounding: {batch_size: 5}"), ["seed=7"]
    )
    demo = load_recipe(find_recipe("demo"))
    assert (recipe.name, recipe.note, recipe.paper, recipe.seed) == ("top", "", {}, 7)
    assert (recipe.grounding.epochs, recipe.grounding.batch_size) == (3, 5)
    assert recipe.grounding.dimension == demo.grounding.dimension and recipe.data == demo.data
    other = "extends: demo\nname: x\ndata: {source: jsonl, images: a, captions: b}\ngrounder: mil"
    recipe = load_recipe(write(tmp_path, "other", other))
    assert recipe.grounder == ("mil",)
    assert recipe.data.images == str(tmp_path / "a")  # nothing of MiniGenome's data is left


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: nothing\nname: x", "`extends: nothing`: neither /.*/nothing is there nor a bundled recipe"),
        ("extends: [demo]\nname: x", "`extends` names one recipe"),
        ("extends: x.yaml\nname: x", r"in a circle \(x.yaml -> x.yaml\)"),
        ("extends: demo", "`name`: field required"),
        ("extends: demo\nname: x\ndata: {train: 0}", "`data.train`"),
        ("extends: vg-caption-ours\nname: x\ndata: {foldr: a}", "did you mean `folder`"),
        ("extends: vg-caption-ours\nname: x\nsgg: {model: vctree}", "`sgg.model`"),
        ("extends: demo\nname: x\npseudo_labels: {stored: 2}", "larger than top"),
    ],
)
def test_a_broken_extension_is_explained(tmp_path, text, message):
    path = write(tmp_path, "x", text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_recipes_lists_the_papers_figures_above_yours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "vg-caption-ours").mkdir(parents=True)
    figures = {"methods": {"two-teachers": {"sgdet": {"R@20": 0.0811, "R@50": 0.1, "R@100": None}}}}
    (tmp_path / "runs" / "vg-caption-ours" / "metrics.json").write_text(json.dumps(figures))
    result = CliRunner().invoke(app, ["recipes"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    at = next(i for i, line in enumerate(lines) if "│ vg-caption-ours " in line)
    assert "paper 8.25 / 10.50 / 11.98" in lines[at] and "yours 8.11 / 10.00 / -" in lines[at + 1]
    assert sum("paper " in line for line in lines) == 22


def test_paths_are_relative_to_the_file_that_has_them_and_those_of_settings_to_the_current_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "sub" / "models" / "bert").mkdir(parents=True)
    base = (
        "name: base\ndata: {source: jsonl, images: photos, captions: ../c.jsonl}\n"
        "detector: {kind: precomputed, model: r.npz, also: [s.npz]}\ntext: {model: models/bert}\n"
        "teachers: {interaction: {model: w.pth, tokenizer: owner/words}}"
    )
    write(tmp_path / "sub", "base", base)
    top = write(tmp_path, "top", "extends: sub/base.yaml\nname: top\ndata: {captions: own.jsonl}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = load_recipe(Path("..") / "top.yaml", ["data.instances=boxes.json", "teachers.expert.model=owner/clip"])
    sub = tmp_path / "sub"
    data, interaction = recipe.data, recipe.teachers.interaction
    assert (data.images, data.captions) == (str(sub / "photos"), str(tmp_path / "own.jsonl"))
    assert data.instances == str(tmp_path / "elsewhere" / "boxes.json")
    assert (recipe.detector.model, recipe.detector.also) == (str(sub / "r.npz"), (str(sub / "s.npz"),))
    assert recipe.text.model == str(sub / "models" / "bert")  # a folder that is there; else an id of the hub
    assert (interaction.model, interaction.tokenizer) == (str(sub / "w.pth"), "owner/words")
    assert recipe.teachers.expert.model == "owner/clip" and load_recipe(top).detector == recipe.detector
    vg = load_recipe(find_recipe("vg-caption-ours"), ["detector.model=package:x"])
    assert (
        vg.data.folder == str(tmp_path / "elsewhere" / "data" / "vg") and vg.data.captions == "region_descriptions.json"
    )
    other = load_recipe(write(sub, "vg", "name: vg\ndata: {source: vg150}\ndetector: {model: 'bundled:detector'}"))
    assert other.data.folder == str(tmp_path / "elsewhere" / "data" / "vg")  # said by no file
    assert other.detector.model == "bundled:detector"


def test_the_method_s_name_before_is_accepted_and_an_old_key_says_its_new_name():
    recipe = load_recipe(find_recipe("demo"), ["grounder=ours"])
    assert recipe.methods["ours"] is load_recipe(find_recipe("demo")).methods["two-teachers"] and recipe.taught
    with pytest.raises(RecipeError, match="named twice"):
        load_recipe(find_recipe("demo"), ["grounder=[ours, two-teachers]"])
    for old, new in OLD_KEYS.items():
        with pytest.raises(RecipeError, match=f"`{old}` is called `{new}` now"):
            load_recipe(find_recipe("demo"), [f"{old}=1"])


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["detector.kind=torchvision"], "detector"),
        (["detector.features=torchvision:resnet18"], "detector"),
        (["grounder=two-teachers", "teachers.interaction={}"], "teachers.interaction"),
        (["sgg.motifs.union=visual"], "pool given boxes"),
    ],
)
def test_nothing_may_look_at_the_pictures_of_data_without_any(settings, key):
    recipe = find_recipe("vrd-sgnls")
    assert load_recipe(recipe).data.pictureless
    with pytest.raises(RecipeError, match=re.escape(key)):
        load_recipe(recipe, settings)
    with pytest.raises(RecipeError, match="pool given boxes"):
        load_recipe(recipe, ["sgg.tasks=[sgcls]"])


@pytest.mark.parametrize("name", ["demo", "coco-mini"])
def test_a_recipe_goes_to_other_processes(name):
    recipe = load_recipe(find_recipe(name))
    assert pickle.loads(pickle.dumps(recipe)) == recipe
