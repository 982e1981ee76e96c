import numpy as np

from fancnn.audit.sequences import sequence_findings, sequences
from fancnn.data.fingerprints import SIDE
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage


def frames(per_part: int, parts: int, seed: int = 0) -> tuple[list[LabeledImage], list[ImageFacts]]:
    """Return images that are numbered through, `per_part` of each part alike."""
    random, images, facts = np.random.default_rng(seed), [], []
    for part in range(parts):
        shape = random.normal(0, 1, (SIDE, SIDE))
        for frame in range(per_part):
            gray = np.clip(128 + 40 * (shape + 0.2 * random.normal(0, 1, (SIDE, SIDE))), 0, 255).astype(np.uint8)
            path = f"GO/img_{part * per_part + frame}.png"  # without zeros in front: order is that of numbers
            images.append(LabeledImage(path, "GO", 0))
            facts.append(ImageFacts(path, gray=gray))
    order = np.argsort([image.path for image in images])
    return [images[place] for place in order], [facts[place] for place in order]


def test_frames_of_one_part_are_a_sequence() -> None:
    images, facts = frames(per_part=6, parts=8)
    runs = sequences(images, facts)
    paths = [[images[place].path for place in run] for run in runs]
    assert paths == [[f"GO/img_{6 * part + frame}.png" for frame in range(6)] for part in range(8)]
    (finding,) = sequence_findings(images, runs)
    assert finding.code == "A008"
    assert finding.says.startswith("48 images in 8 sequences")
    assert (finding.items[1].path, finding.items[1].other) == ("GO/img_6.png", "GO/img_11.png")


def test_numbers_alone_make_no_sequence() -> None:
    images, facts = frames(per_part=1, parts=60)
    assert sequences(images, facts) == []
    assert list(sequence_findings(images, [])) == []
    assert sequences([], []) == []


def test_a_sequence_ends_with_the_folder() -> None:
    images, facts = frames(per_part=4, parts=6)
    moved = [
        LabeledImage(image.path.replace("GO/", "GO/b/"), "GO", 0) if place % 2 else image
        for place, image in enumerate(images)
    ]
    folders = [{moved[place].path.rpartition("/")[0] for place in run} for run in sequences(moved, facts)]
    assert all(len(folder) == 1 for folder in folders)
