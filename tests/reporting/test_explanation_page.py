"""The page of an explanation says plainly what its heat is worth."""

from dataclasses import replace

from fancnn.inspection.localisation import Place, localisation
from fancnn.reporting.explanation_page import Checked, Explanation, explanation_page

HIT = Place("stain", 0.5, True, False, 0.05, False, False, 0.05, 0.1, False)
MISS = replace(HIT, kind="screw", share=0.05, hit=False)


def checked(*places: Place) -> Checked:
    kinds = sorted({place.kind for place in places})
    by_type = {kind: localisation([place for place in places if place.kind == kind]) for kind in kinds}
    return Checked("val", {"grad_cam": localisation(places)}, {"grad_cam": by_type})


def page(found: Checked | None) -> str:
    return explanation_page(
        Explanation(
            title="a run <b>",
            facts=[("network", "ConvNet")],
            cautions=[],
            heat=[],
            filters=[],
            exciting=[],
            maps=[],
            maps_of="a.png",
            maps_note="",
            dense=[],
            methods=["grad_cam"],
            checked=found,
        )
    )


def test_a_method_that_passes_still_names_the_types_that_it_misses() -> None:
    ((passes, said),) = checked(*[HIT] * 30, *[MISS] * 12).verdicts()
    assert passes
    assert said.endswith("It mostly points beside the defect on: screw (0 of 12).")
    assert "beside" not in checked(*[HIT] * 30).verdicts()[0][1]


def test_the_page_marks_what_fails_and_what_was_not_checked() -> None:
    failing = page(checked(*[MISS] * 40))
    assert '<p class="verdict bad">Grad-CAM fails: nothing shows that training' in failing
    assert '<p class="verdict">' in page(checked(*[HIT] * 40))
    assert "A heat map that looks right proves nothing." in page(None)
    assert "a run &lt;b&gt;" in failing
