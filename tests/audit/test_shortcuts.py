import numpy as np
import pytest

from fancnn.audit.shortcuts import LEAST_OF_CLASS, run_probes, shortcut_findings
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage

COUNT = 200
NAMES = {"size and kind of the file", "mean color", "border of the image", "file name"}


def images_and_facts(shortcut: str = "", seed: int = 0) -> tuple[list[LabeledImage], list[ImageFacts]]:
    """Return images whose label can be seen in `shortcut` alone."""
    random, images, facts = np.random.default_rng(seed), [], []
    for number in range(COUNT):
        ng = number % 2
        shifted = 12.0 * ng
        color, border = random.normal(100, 10, 3), random.normal(100, 10, 3)
        name = f"NG/{random.integers(10_000)}.png" if ng else f"GO/{random.integers(10_000)}.png"
        if shortcut == "file name":
            name = f"{'NG' if ng else 'GO'}/{5000 * ng + number}.png"
        images.append(LabeledImage(name, name[:2], ng))
        facts.append(
            ImageFacts(
                name,
                format="PNG" if shortcut != "size and kind of the file" or ng else "JPEG",
                mode="RGB",
                height=int(random.integers(90, 110)),
                width=100,
                megabytes=random.uniform(0.01, 0.02),
                color=tuple(color + shifted * (shortcut == "mean color")),
                border=tuple(border + shifted * (shortcut == "border of the image")),
            )
        )
    return images, facts


@pytest.mark.parametrize("shortcut", sorted(NAMES))
def test_a_shortcut_is_found_by_its_probe_alone(shortcut: str) -> None:
    images, facts = images_and_facts(shortcut)
    probes = run_probes(images, facts, range(COUNT))
    assert {probe.name for probe in probes} == NAMES
    assert [probe.name for probe in probes if probe.beats_guessing] == [shortcut]
    (finding,) = shortcut_findings(probes)
    assert finding.code == ("A014" if shortcut == "file name" else "A013")
    assert finding.says.startswith(f"the {shortcut} alone tells NG from GO")


def test_without_a_shortcut_none_is_found() -> None:
    for seed in range(5):
        assert list(shortcut_findings(run_probes(*images_and_facts(seed=seed), range(COUNT)))) == []


def test_copies_of_an_image_are_no_evidence() -> None:
    """Each image five times over would let a probe know the label of the fifth from the other four."""
    images, facts = images_and_facts()
    many = [image for image in images[:60] for _ in range(5)]
    clusters = [place for place in range(60) for _ in range(5)]
    repeated = [item for item in facts[:60] for _ in range(5)]
    apart = {probe.name: probe.auroc for probe in run_probes(many, repeated, range(300))}
    together = {probe.name: probe.auroc for probe in run_probes(many, repeated, clusters)}
    assert min(apart["mean color"], apart["border of the image"]) > 0.9
    assert max(together["mean color"], together["border of the image"]) < 0.75


def test_small_classes_are_not_probed() -> None:
    images, facts = images_and_facts("mean color")
    few = [place for place, image in enumerate(images) if image.label == 0][: LEAST_OF_CLASS - 1]
    chosen = few + [place for place, image in enumerate(images) if image.label == 1]
    assert run_probes([images[place] for place in chosen], [facts[place] for place in chosen], chosen) == []
