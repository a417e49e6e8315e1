"""LLM4SGG's published triplets, in miniature files of its layout."""

import json

import pytest

from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.llm4sgg import read_text_graphs


def write(path, graphs, **more):
    path.write_text(json.dumps({"text_scene_graph": graphs, **more}, ensure_ascii=False, indent=4))
    return path


def test_images_have_their_triplets_once_and_in_order(tmp_path):
    graphs = {
        "9": {"objects": ["man", "horse"], "triplets": [["man", "riding", "horse"], ["man", "near", "horse"]]},
        "000000000025": {"objects": ["men"], "triplets": [["men", "on", "hill"], ["men", "on", "hill"]]},
        "30": {"objects": [], "triplets": []},
    }
    skipped = Skipped()
    expected = {"9": (("man", "riding", "horse"), ("man", "near", "horse")), "25": (("men", "on", "hill"),)}
    assert read_text_graphs(write(tmp_path / "aligned_triplet_info_vg.json", graphs), skipped) == expected
    assert skipped.items == []


def test_the_grounded_file_and_vs3s_own_are_read_alike(tmp_path):
    graph = {
        "objects": ["dog", "grass"],
        "triplets": [["dog", "on", "grass"]],
        "original_triplets": [["puppy", "roll on", "lawn"]],
        "entities_after_grounding": [{"label_name": "dog", "vg150_obj_label": 37, "xyxy_box": [0, 0, 5, 5]}],
        "relations_after_grounding": [{"subject": 0, "object": 1, "vg150_predicate_label": 31, "text": ["dog"]}],
    }
    path = write(
        tmp_path / "grounded.json",
        {"9": graph},
        caption_object_vocabs_to_vg_objs={"puppy": ["dog"]},
        sg_grounding_infos={"all_sg_box_count": 2, "grounded_sg_box_count": 2, "grounded_img_ids": ["9"]},
    )
    assert read_text_graphs(path, Skipped()) == {"9": (("dog", "on", "grass"),)}


def test_what_is_no_triplet_or_image_is_left_out_and_counted(tmp_path):
    good = {"triplets": [["a", "on", "b"]]}
    graphs = {
        "1": {"triplets": [["a", "on"], ["a", "on", 7.5], "abc", ["a", "", "b"], None, ["a", "on", "b"]]},
        "2": [["a", "on", "b"]],
        "3": {"triplets": "none"},
        " ": good,
        "4": good,
        "04": {"triplets": [["c", "on", "d"]]},
    }
    skipped = Skipped()
    images = read_text_graphs(write(tmp_path / "f.json", graphs), skipped)
    assert images == {"1": (("a", "on", "7.5"), ("a", "on", "b")), "4": (("a", "on", "b"),)}
    assert [what for what, _ in skipped.items] == [f"f.json: image {name!r}" for name in ("1", "2", "3", "", "04")]
    assert skipped.items[0][1] == "4 of 6 triplets are no [subject, predicate, object]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", 'has no object "text_scene_graph"'),
        ('{"text_scene_graph": []}', 'has no object "text_scene_graph"'),
        ('{"text_scene_graph": {}}', "no image has a triplet"),
        ('{"text_scene_graph": {"1": ', "not valid JSON"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_text_graphs(path, Skipped())
    assert str(path) in str(error.value)
