"""Where models run: the one answer, a GPU that is not there, reduced precision, and a real GPU where there is one."""

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from fake_gpu import NAME, FakeGpu
from miniatures import DETECTORS, EXPERTS, PHOTOS, TRAINED, grounder, sgg, world
from rich.console import Console
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.ragged import Ragged
from groundgraph.data.types import Skipped
from groundgraph.engine.execute import execute
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.grounding import GroundingConfig, build_grounder
from groundgraph.models import device as devices
from groundgraph.models.device import device_of, dtype_of
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.uniter import Uniter, UniterConfig
from groundgraph.stages import stages
from groundgraph.stages.recipe import bundled_recipes, find_recipe, load_recipe

ALL = EXPERTS | TRAINED
GPUS = devices.gpu_count  # the real count, which the tests' conftest hides
SMALL = (
    "data.train=24", "data.validation=4", "data.test=6", "grounder=[two-teachers, mil, full]", "grounding.dimension=16",
    "grounding.epochs=1", "grounding.dropout=0", "sgg.training.epochs=1", "sgg.motifs.dropout=0", "sgg.tasks=[sgcls]",
)  # fmt: skip
BY_EXPERTS = {
    "regions": "features", "text": "embeddings", "teachers": "scores", "crops": "features",
    "reliability": "weights", "grounding-two-teachers": "scores",
}  # fmt: skip


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is not there, which `auto` finds."""
    if torch.cuda.is_available():
        pytest.skip("torch has no room for a fake GPU beside a real one, which other tests here use")
    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    monkeypatch.setattr(devices, "GPU", NAME)
    with FakeGpu() as made:
        yield made


def both(run, tmp_path, one, two):
    """What a miniature gives with two sets of options."""
    found = []
    for name, options in (("one", one), ("two", two)):
        (tmp_path / name).mkdir()
        found.append(run(tmp_path / name, **options))
    return found


def same(name, found, expected, **tolerance):
    """Equal arrays; of a detector the same regions, but for a few of near-equal scores that took another's place."""
    assert len(found) == len(expected)
    assert all(isinstance(one, np.ndarray) and one.dtype == two.dtype for one, two in zip(found, expected, strict=True))
    if name not in DETECTORS:
        for one, two in zip(found, expected, strict=True):
            assert one.shape == two.shape
            np.testing.assert_allclose(one, two, **tolerance)
        return
    kept = []
    for start in range(0, len(found), 4):
        (boxes, _, scores, features), (*_, others, theirs) = found[start : start + 4], expected[start : start + 4]
        if len(boxes) == len(expected[start]) == 0:
            continue
        apart = np.abs(boxes[:, None] - expected[start]).max(2)
        row, column = (apart <= 0.1).nonzero()
        kept.append(len(set(row)) / max(len(boxes), 1))
        alike = np.isclose(scores[row], others[column], **tolerance) & np.isclose(
            features[row], theirs[column], **tolerance
        ).all(1)
        assert alike.size and alike.mean() > 0.8
    assert min(kept) > 0.5 and np.mean(kept) > 0.8


# First, before torch knows of the fake: what runs where there is a GPU.
def real_gpu(test):
    """For a test that needs one; convolutions are then not rounded to 10 bits."""
    absent = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
    return absent(pytest.mark.usefixtures("cuda")(test))


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", GPUS)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


# RT-DETR's queries are the places of the highest scores; in an untrained one these tie, and a GPU's top-k takes others.
@real_gpu
@pytest.mark.parametrize("name", [name for name in ALL if name != "rt-detr"])
def test_on_a_real_gpu_the_same_comes_out(name, tmp_path):
    options = {"precision": "fp32"} if name in EXPERTS else {}
    found, expected = both(ALL[name], tmp_path, {"device": "cuda"} | options, {"device": "cpu"})
    torch.cuda.synchronize()
    assert torch.cuda.max_memory_allocated() > 0
    if name in TRAINED:  # each step is rounded another way, which Adam makes more of, and a rank may change hands
        assert len(found) == len(expected) and all(np.isfinite(one).all() for one in found)
        for one, two in zip(found, expected, strict=True):
            if one.shape == two.shape:
                np.testing.assert_allclose(one, two, rtol=0.2, atol=0.2)
    else:
        same(name, found, expected, rtol=1e-2, atol=1e-3)


@real_gpu
@pytest.mark.parametrize("precision", ["auto", "bf16", "fp16"])
@pytest.mark.parametrize("name", EXPERTS)
def test_on_a_real_gpu_experts_run_in_reduced_precision(name, precision, tmp_path):
    found = EXPERTS[name](tmp_path, device="cuda", precision=precision)
    assert all(array.dtype in (np.float32, np.int64) and np.isfinite(array).all() for array in found)


@real_gpu
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("model", ["motifs", "uniter"])
def test_on_a_real_gpu_graphs_are_learnt_in_reduced_precision(model, precision, tmp_path):
    kind, config = {
        "motifs": (Motifs, MotifsConfig(hidden=16, pair=16, embedded=8)),
        "uniter": (Uniter, UniterConfig(hidden=16, heads=2, intermediate=16, positions=16)),
    }[model]
    assert all(np.isfinite(array).all() for array in sgg(kind, config, precision)(tmp_path, device="cuda"))


@real_gpu
@pytest.mark.parametrize("name", ["two-teachers", "mil", "wsgm", "lsws", "vspnet"])
def test_on_a_real_gpu_grounders_learn_in_bf16(name, tmp_path):
    found = grounder(name, precision="bf16", dropout=0.2)(tmp_path, device="cuda")
    assert all(np.isfinite(array).all() for array in found)


@real_gpu
def test_a_training_goes_on_on_another_device(tmp_path):
    data = world(14, 0)[0]
    config = GroundingConfig(dimension=8, epochs=3, batch_size=6)

    def stop(done, total, losses):
        if done == 3:
            raise KeyboardInterrupt

    for one, two in (("cuda", "cpu"), ("cpu", "cuda")):
        path = tmp_path / f"{one}.pt"
        with pytest.raises(KeyboardInterrupt):
            build_grounder("two-teachers", config).train(data, data, 0, stop, checkpoint=path, device=one)
        made = build_grounder("two-teachers", config)
        curves = made.train(data, data, 0, checkpoint=path, device=two)
        assert next(made.model.parameters()).device.type == two and len(curves["validation"]) == 3


@real_gpu
def test_a_run_on_a_real_gpu(tmp_path):
    small = ["data.train=64", "data.validation=8", "data.test=16", "grounding.epochs=2", "sgg.training.epochs=2"]
    words = [word for setting in small for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", "demo", "--out", str(tmp_path / "run"), "--device", "cuda", *words])
    assert result.exit_code == 0, result.output
    assert torch.cuda.max_memory_allocated() > 10 << 20
    image = tmp_path / "photo.png"
    PHOTOS[0].save(image)
    for device in ("cuda", "cuda:0", "cpu"):
        options = ["--out", str(tmp_path / "out"), "--device", device]
        result = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), str(image), *options])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["run", str(tmp_path / "run" / "recipe.yaml"), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0 and "nothing had changed" in result.output


# From here on the GPU is a fake.


@pytest.mark.parametrize("name", ALL)
def test_models_and_what_goes_into_them_lie_on_the_gpu(name, tmp_path, gpu):
    """What a real GPU refuses, a tensor that was left behind, is an error here; `auto` takes it."""
    found = ALL[name](tmp_path, device="auto")
    assert gpu.puts > 5 and gpu.work > 20 and gpu.reads
    before = gpu.puts, gpu.work
    (tmp_path / "cpu").mkdir()
    expected = ALL[name](tmp_path / "cpu", device="cpu")
    assert (gpu.puts, gpu.work) == before
    same(name, found, expected, rtol=1e-3, atol=2e-3 if name in TRAINED else 1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", EXPERTS)
def test_an_expert_computes_in_reduced_precision_and_gives_float32(name, precision, tmp_path, gpu):
    found = EXPERTS[name](tmp_path, precision=precision)
    assert devices.DTYPES[precision] in gpu.dtypes
    assert all(array.dtype in (np.float32, np.int64) and np.isfinite(array).all() for array in found)


def executed(folder, *settings):
    """A run of all stages, with what each stage did on the GPU that is there."""
    work = Run(load_recipe(find_recipe("demo"), [*SMALL, *settings]), folder, Console(file=io.StringIO()))
    return work, execute(work, stages(work.recipe))


def test_every_stage_that_has_a_model_runs_it_on_the_gpu(tmp_path, gpu):
    done = {}

    class Watched(partial):  # whose code is the stage's own, for its fingerprint
        def __call__(self, run, folder):
            before = gpu.work
            counts = super().__call__(run, folder)
            done[folder.name.removesuffix(".part")] = gpu.work - before
            return counts

    def watched(stage):
        return replace(stage, work=Watched(stage.work))

    work = Run(load_recipe(find_recipe("demo"), list(SMALL)), tmp_path / "gpu", Console(file=io.StringIO()))
    execute(work, [watched(stage) for stage in stages(work.recipe)])
    modelled = {*BY_EXPERTS, "grounding-mil", "sgg-two-teachers", "sgg-mil", "sgg-full"}
    assert modelled <= {name for name, count in done.items() if count > 50}, done
    before = gpu.work
    image = tmp_path / "photo.png"
    PHOTOS[0].save(image)
    assert list(SceneGraphModel.from_run(tmp_path / "gpu").graphs([image], Skipped())) and gpu.work > before + 50

    before = gpu.work
    plain, ran = executed(tmp_path / "cpu", "device=cpu")
    assert len(ran) == len(done) and gpu.work == before
    for stage, column in BY_EXPERTS.items():
        path = f"{stage}/train" + (".safetensors" if stage == "grounding-two-teachers" else "")
        one, two = (Ragged(run.folder / path) for run in (work, plain))
        same(stage, [one.column(n, column) for n in one], [two.column(n, column) for n in two], rtol=1e-2, atol=1e-3)
    # A run goes on where it was, whatever it runs on.
    again = Run(work.recipe.model_copy(update={"device": "cpu"}), work.folder, work.console)
    assert execute(again, stages(again.recipe)) == []


def test_one_answer_where_models_run(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    assert device_of() == device_of("cpu") == torch.device("cpu")
    for absent in ("cuda", "cuda:0", torch.device("cuda")):
        with pytest.raises(InputError, match=r"no GPU is here.*--device auto"):
            device_of(absent)
    monkeypatch.setattr(devices, "gpu_count", lambda: 2)
    assert device_of() == device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="cuda:0 to cuda:1"):
        device_of("cuda:2")
    with pytest.raises(InputError, match="choose auto, cpu, cuda, cuda:N or mps"):
        device_of("gpu")


def test_precision_is_reduced_on_a_gpu_alone(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert dtype_of("auto", cpu) == dtype_of("fp32", cuda) == torch.float32 and dtype_of("bf16", cpu) == torch.bfloat16
    for able, kind in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert dtype_of("auto", cuda) == kind
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        dtype_of("fp16", cpu)
    with pytest.raises(InputError, match="auto, fp32, bf16, fp16"):
        dtype_of("int8", cpu)


@pytest.mark.parametrize("words", [["demo"], ["run", "demo"]])
def test_a_device_that_is_not_there_is_an_error_before_the_first_stage(words, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run"), "--device", "cuda"])
    assert result.exit_code == 2 and "no GPU is here" in result.output and not (tmp_path / "run").exists()
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run"), "--device", "gpu"])
    assert result.exit_code == 2 and "`device`" in result.output


def test_precision_is_part_of_what_an_experts_stage_depends_on_and_the_device_is_not():
    plain, other, narrow = (
        fingerprints(stages(load_recipe(find_recipe("demo"), given)))
        for given in ([], ["device=cpu"], ["precision=fp32"])
    )
    assert plain == other
    changed = {name for name in plain if plain[name] != narrow[name]}
    assert {"regions", "text", "teachers", "crops", "reliability"} <= changed
    assert not changed & {"examples", "parsed", "vocabulary", "concepts"}


def test_recipes_of_real_data_store_features_as_float16(tmp_path):
    recipes = {name: load_recipe(path) for name, path in bundled_recipes().items()}
    asked = {name: recipe.detector.store for name, recipe in recipes.items()}
    real = {name for name, recipe in recipes.items() if recipe.data.source != "minigenome"}
    assert real and {asked[name] for name in real} == {"float16"}
    assert {asked[name] for name in recipes.keys() - real} == {"float32"}
    folders = []
    for kind in ("float32", "float16"):
        work = Run(
            load_recipe(find_recipe("demo"), [*SMALL, f"detector.store={kind}"]),
            tmp_path / kind,
            Console(file=io.StringIO()),
        )
        execute(work, [stage for stage in stages(work.recipe) if stage.name in ("examples", "regions")])
        folders.append(Ragged(work.folder / "regions" / "train"))
    for name in folders[0]:
        one, two = (store.column(name, "features") for store in folders)
        assert one.dtype == np.float32 and two.dtype == np.float16
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
