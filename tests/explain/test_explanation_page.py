"""The page of an explanation says plainly what its heat is worth."""

from collections.abc import Sequence
from dataclasses import replace

from fancnn.explain.explanation_page import Checked, Explanation, check_rows, explanation_page
from fancnn.metrics.localization import Place, localisation

HIT = Place("stain", 0.5, True, False, 0.05, False, False, 0.05, 0.1, False)
MISS = replace(HIT, kind="screw", share=0.05, hit=False)


def checked(*places: Place) -> Checked:
    kinds = sorted({place.kind for place in places})
    by_type = {kind: localisation([place for place in places if place.kind == kind]) for kind in kinds}
    return Checked("val", {"grad_cam": localisation(places)}, {"grad_cam": by_type})


def page(found: Checked | None, methods: Sequence[str] = ("grad_cam",)) -> str:
    return explanation_page(
        Explanation(
            title="a run <b>",
            facts=[("network", "ConvNet")],
            warnings=[],
            heat=[],
            filters=[],
            maximized_filters=[],
            maps=[],
            maps_of="a.png",
            maps_note="",
            dense=[],
            dense_note="No sum.",
            methods=methods,
            checked=found,
        )
    )


def test_a_method_that_passes_still_names_the_types_that_it_misses() -> None:
    ((outcome, said),) = checked(*[HIT] * 30, *[MISS] * 12).conclusions()
    assert outcome == "passes"
    assert said.endswith("It mostly points beside the defect on: screw (0 of 12).")
    assert "beside" not in checked(*[HIT] * 30).conclusions()[0][1]


def test_a_type_with_few_images_is_not_blamed() -> None:
    assert "screw (0 of 5)" in checked(*[HIT] * 30, *[MISS] * 5).conclusions()[0][1]
    assert "beside" not in checked(*[HIT] * 30, *[MISS] * 4).conclusions()[0][1]
    assert "beside" not in checked(HIT, *[MISS] * 6).conclusions()[0][1], "seven images blame no type"


def test_too_few_images_are_neither_good_nor_bad() -> None:
    few = page(checked(*[HIT] * 6))
    assert '<p class="verdict few">Grad-CAM is neither shown right nor wrong: 6 images are too few' in few
    assert '<p class="verdict bad">' not in few


def test_the_page_says_what_a_black_panel_is_and_what_to_make_of_contradictions() -> None:
    several = page(None, ("grad_cam", "occlusion"))
    assert "nothing in that layer speaks for GO" in several
    assert "none is shown right by looking right" in several
    assert "none is shown right by looking right" not in page(None)
    assert "its ReLU" not in page(None, ("occlusion",))


def test_blank_maps_of_the_trained_and_of_the_untrained_have_a_column_each() -> None:
    blank = replace(HIT, blank=True, untrained_blank=True)
    ((_, cells),) = check_rows(checked(*[HIT] * 9, replace(blank, untrained_blank=False), *[blank] * 2))
    assert cells[-2:] == ["3", "2"]
    found = page(checked(*[HIT] * 30))
    assert found.count('<th scope="col"') == len(cells) + 1 + 3, "a heading for each cell; three for the types"
    assert "blank; untrained" not in found


def test_the_page_marks_what_fails_and_what_was_not_checked() -> None:
    failing = page(checked(*[MISS] * 40))
    assert '<p class="verdict bad">Grad-CAM fails: nothing shows that training' in failing
    assert '<p class="verdict">' in page(checked(*[HIT] * 40))
    assert "A heat map that looks right proves nothing." in page(None)
    assert "a run &lt;b&gt;" in failing
    assert "<p>No sum.</p>" in failing
