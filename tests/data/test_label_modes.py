import pytest

from fancnn.data.label_modes import known_type, output_index, output_names
from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError

CLASSES = ("GO", "NG")
NAMES = ("GO", "chip", "dent", "NG")


def image(class_name: str, defect_type: str = "") -> LabeledImage:
    return LabeledImage("a.png", class_name, int(class_name != "GO"), "train", "", "", defect_type)


def test_outputs_are_called_after_folders_in_ng_and_what_lies_beside_them_after_ng() -> None:
    images = [image("NG", "dent"), image("NG", "chip"), image("NG"), image("GO", "lot7")]
    assert output_names("defect_types", images, CLASSES) == ("GO", "NG", "chip", "dent")
    assert output_names("binary", images, CLASSES) == ("NG",)
    assert output_names("softmax", images, CLASSES) == ("GO", "NG")


def test_several_ng_classes_are_types_and_folders_inside_divide_them() -> None:
    classes = ("GO", "chip", "dent")
    images = [image("dent", "deep"), image("dent", "flat"), image("chip"), image("GO")]
    assert output_names("defect_types", images, classes) == ("GO", "chip", "dent/deep", "dent/flat")


def test_one_type_alone_is_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match="all NG images for training are of one type, NG. .*model.labels=softmax"):
        output_names("defect_types", [image("GO"), image("NG")], CLASSES)


def test_go_is_the_first_output_and_types_that_training_has_not_are_ng_all_the_same() -> None:
    assert [output_index(image("NG", name), CLASSES, NAMES) for name in ("chip", "dent", "", "burr")] == [1, 2, 3, 1]
    assert output_index(image("GO", "chip"), CLASSES, NAMES) == 0
    assert [known_type(image("NG", name), CLASSES, NAMES) for name in ("chip", "burr")] == ["chip", ""]
    assert known_type(image("GO"), CLASSES, NAMES) == ""
    assert [output_index(image(name), CLASSES, ("NG",)) for name in CLASSES] == [0, 1]


def test_a_type_that_is_called_go_is_a_type() -> None:
    assert output_index(image("NG", "GO"), CLASSES, ("GO", "GO", "dent")) == 1
