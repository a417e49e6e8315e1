"""Boxes of other frames: turned and scaled with their picture, or refused."""

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.boxes import box_iou, inside, shared_area, shares, sound, upright
from groundgraph.data.images import image_frame, locate, open_image

BOX = np.array([[90, 50, 140, 110]], np.float64)  # in a stored picture of 160 x 120


def stored(path, orientation, size=(160, 120)):
    """A picture whose box BOX is red, as it is stored."""
    image = Image.new("RGB", size, "white")
    image.paste((255, 0, 0), tuple(BOX[0].astype(int)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif.tobytes())
    return path


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("frame", [(160, 120), (80, 60), None])
def test_boxes_of_the_stored_frame_turn_with_the_picture(tmp_path, orientation, frame):
    path = stored(tmp_path / "a.png", orientation)
    size, told = image_frame(path)
    assert size == (120, 160) and told == orientation
    given = BOX if frame is None else BOX * frame[0] / 160
    (box,) = upright(given, frame, size, told)
    red = np.asarray(open_image(path)).astype(int)
    ys, xs = np.nonzero(red[..., 1] < 128)
    assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_upright_boxes_of_a_turned_picture_stay():
    box = np.array([[10.0, 5, 100, 155]])
    assert np.array_equal(upright(box, (120, 160), (120, 160), 6), box)
    assert np.array_equal(upright(box, None, (120, 160), 6), box)  # it would not fit into 160 x 120


@pytest.mark.parametrize(
    ("frame", "size", "orientation"),
    [
        (None, (120, 160), 6),  # BOX[:2] fits both ways
        ((160, 120), (160, 120), 3),  # upside down: sizes say nothing
        (None, (160, 120), 2),
        ((100, 100), (100, 100), 8),
        ((1, 1), (120, 160), 6),
    ],
)
def test_what_is_not_certain_is_refused(frame, size, orientation):
    with pytest.raises(ValueError, match="nothing says whether its boxes are turned with it"):
        upright(np.array([[10.0, 10, 50, 60]]), frame, size, orientation)


def test_another_frame_is_scaled_or_refused():
    assert upright(BOX, (320, 240), (160, 120)).tolist() == (BOX / 2).tolist()
    assert upright(np.array([[0.5, 0, 1, 0.5]]), (1, 1), (160, 120)).tolist() == [[80, 0, 160, 60]]
    for frame in ((120, 160), (160, 140), (0, 0), (float("nan"), 4), (-160, -120)):
        with pytest.raises(ValueError, match="the upright image has 160 x 120"):
            upright(BOX, frame, (160, 120))


def test_what_a_box_is():
    boxes = [[0, 0, 4, 4], [4, 0, 4, 4], [4, 4, 0, 0], [0, 0, np.nan, 4], [0, 0, np.inf, 4]]
    assert sound(boxes).tolist() == [True, False, False, False, False]
    reaching = [[0, 0, 100, 100], [-1, 0, 102, 50], [0, 0, 120, 50], [-9, 0, 5, 5], [0, 0, np.nan, 5]]
    assert inside(reaching, (100, 100)).tolist() == [True, True, False, False, False]
    assert shares([[0, 0, 0.5, 1]]) and not shares([[0, 0, 0.5, 1], [0, 0, 5, 5]]) and not shares(np.zeros((0, 4)))


def test_names_of_other_systems_find_their_picture(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/1.jpg", "2.PNG", "3.png", "3.PNG"):
        Image.new("RGB", (3, 3)).save(tmp_path / name)
    for name, path in (("a\\1.jpg", "a/1.jpg"), ("./a/1.JPG", "a/1.jpg"), ("2.png", "2.PNG"), ("3.PNG", "3.PNG")):
        assert locate(tmp_path, name) == tmp_path / path


def test_iou_of_pairs_and_of_every_two():
    first = np.array([[0, 0, 10, 10], [0, 0, 4, 4]], np.float32)
    second = np.array([[5, 0, 15, 10], [8, 8, 2, 2]], np.float32)
    assert box_iou(first, second) == pytest.approx([50 / 150, 0])
    assert box_iou(first[:, None], second).shape == (2, 2)
    assert box_iou(first, first, inclusive=True).tolist() == [1, 1]
    assert shared_area(first, second, inclusive=True)[0] == 6 * 11
