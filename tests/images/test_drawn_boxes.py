import numpy as np

from fancnn.images.drawn_boxes import INNER, with_boxes


def test_a_box_leaves_what_it_holds_as_it_is_and_is_seen_around_it() -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    drawn = with_boxes(image, [(100, 50, 140, 90)])
    assert (drawn[50:90, 100:140] == 90).all()
    changed = (drawn != 90).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (47, 92, 97, 142)
    assert (drawn[48:50, 98:142] == INNER).all()
    assert (image == 90).all(), "a copy was drawn on"


def test_boxes_at_the_edge_and_captions_of_any_length_stay_on_the_image() -> None:
    image = np.zeros((40, 30, 3), np.uint8)
    assert with_boxes(image, [(0, 0, 30, 40), (29, 39, 30, 40)], ["x" * 50, "8x8 px"]).shape == image.shape


def test_a_caption_is_written_beside_its_box() -> None:
    image = np.full((400, 400, 3), 90, np.uint8)
    plain, written = (with_boxes(image, [(100, 50, 140, 90)], captions) for captions in ((), ("8x8 px",)))
    changed = (plain != written).any(axis=2)
    assert changed[93:120].any()
    assert not changed[:93].any()
