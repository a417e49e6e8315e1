import numpy as np
import pytest

from groundgraph.report.layout import bow, caption_spots, meeting_points, place_tags, predicate_spots


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return np.clip(sides, 0, None).prod()


def test_points_lie_in_their_boxes_and_apart():
    boxes = np.array([[0, 0, 100, 200], [20, 70, 80, 130], [300, 0, 400, 100]], float)
    points = meeting_points(boxes, 40)
    assert ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all()
    assert points[1] == pytest.approx([50, 100]) and points[2] == pytest.approx([350, 50])  # free: the centre
    assert np.linalg.norm(points[0] - points[1]) >= 40
    assert meeting_points(np.zeros((0, 4)), 40).shape == (0, 2)


def test_an_arrow_and_its_reverse_bow_to_either_side():
    there, back = bow((0, 0), (100, 0)), bow((100, 0), (0, 0))
    # The control point is 18 % of the length aside, the curve's middle half of that; y goes downwards.
    assert there[0] == pytest.approx([0, 0]) and there[-1] == pytest.approx([100, 0])
    assert there[:, 1].min() == pytest.approx(-9, abs=0.1) and back[:, 1].max() == pytest.approx(9, abs=0.1)


def test_tags_of_one_spot_do_not_overlap():
    boxes = np.array([[100, 100, 160, 160]] * 6, float)
    extents = np.full((6, 2), (40.0, 14.0))
    spots = [caption_spots(b, *e) for b, e in zip(boxes, extents, strict=True)]
    placed = place_tags(spots, extents, [-1] * 6, [], boxes, (400, 400))
    assert placed[:, 2:] - placed[:, :2] == pytest.approx(extents)
    assert all(overlap(placed[i], placed[j]) == 0 for i in range(6) for j in range(i))
    # The first, best place: on the box's upper edge, at its left.
    assert any(place == pytest.approx([100, 86, 140, 100]) for place in placed)


def test_a_tag_avoids_arrows_and_small_boxes_but_its_own_arrow():
    curve = bow((100, 100), (300, 100))
    extent = np.array([[40.0, 14.0]])
    spots = [predicate_spots(curve, *extent[0])]
    own = place_tags(spots, extent, [0], [curve], np.zeros((0, 4)), (400, 400))[0]
    assert own[0] < 200 < own[2] and own[1] < curve[20, 1] < own[3]
    other = place_tags(spots, extent, [-1], [curve], np.zeros((0, 4)), (400, 400))[0]
    inside = (curve > other[:2]) & (curve < other[2:])
    assert not inside.all(1).any()
    small = np.array([[*own[:2] + 2, *own[2:] - 2]])
    moved = place_tags(spots, extent, [0], [curve], small, (400, 400))[0]
    assert overlap(moved, small[0]) == 0


def test_tags_stay_inside_the_picture_where_they_fit():
    boxes = np.array([[0, 0, 5, 5], [95, 95, 100, 100]], float)
    extents = np.array([[60.0, 14.0], [300.0, 14.0]])
    spots = [caption_spots(b, *e) for b, e in zip(boxes, extents, strict=True)]
    placed = place_tags(spots, extents, [-1, -1], [], boxes, (100, 100))
    assert (placed[0] >= 0).all() and (placed[0] <= 100).all() and placed[1, 0] == 0
    assert place_tags([], np.zeros((0, 2)), [], [], np.zeros((0, 4)), (9, 9)).shape == (0, 4)
