"""`groundgraph data check` where a run lies already."""

from typer.testing import CliRunner

from groundgraph.cli import app


def check(folder, *words):
    small = ["data.train=4", "data.validation=2", "data.test=2"]
    settings = [word for setting in small for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["data", "check", "demo", "--out", str(folder), *settings, *words])
    return result.exit_code, " ".join(result.output.split())


def test_counting_does_not_write_over_a_run_by_another_recipe(tmp_path):
    other = ("--set", "seed=1")
    assert check(tmp_path)[0] == check(tmp_path, *other)[0] == check(tmp_path)[0] == 0  # what alone was counted
    (tmp_path / "regions.part").mkdir()
    (tmp_path / "regions.part" / "stage.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, text = check(tmp_path, *other)
    assert code == 2 and "holds a run by another recipe" in text and "--no-count" in text
    assert check(tmp_path, *other, "--no-count")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    code, text = check(tmp_path)
    assert code == 0 and "supervision in the evaluation vocabulary" in text
