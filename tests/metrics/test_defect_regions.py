import pytest

from fancnn.metrics.defect_regions import DefectRegion, regions_from_text, size_in_words


@pytest.mark.parametrize(
    "text", ["x", "1,2 to 3,4", "3,2 to 1,4 at 2,3: 0.5", "1,2 to 3,4 at 2,3: 2", "=1,2 to 3,4 at 2,3: .5"]
)
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none: expected|is empty"):
        regions_from_text(text)


def test_a_size_is_in_millimetres_where_they_are_known() -> None:
    region = DefectRegion(0, 0, 40, 8, 20.0, 4.0, 0.9)
    assert size_in_words(region) == "40x8 px"
    assert size_in_words(region, 0.0125) == "40x8 px, 0.5x0.1 mm"
