"""What files keep of weights that learnt elsewhere, and how images are normalised for them."""

from dataclasses import replace
from typing import Any

import pytest

from fancnn.decisions.backbone import BACKBONES, Backbone, kept_preprocess
from fancnn.errors import UserError
from fancnn.files.plain_data import Mismatch
from fancnn.settings.groups import PreprocessSettings

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HUB = Backbone("resnet18.a1_in1k", "timm/resnet18.a1_in1k", "ab" * 32, "apache-2.0", MEAN, STD)
FILE = replace(HUB, network="resnet18", origin="mine.safetensors", license=None)


def data(**changed: Any) -> PreprocessSettings:
    plain: dict[str, Any] = {"image_size": [80, 80], "resize": "squash", "background": "white"}
    return PreprocessSettings(**{**plain, "mean": [0.0] * 3, "std": [1.0] * 3, **changed})


@pytest.mark.parametrize("backbone", [HUB, FILE])
def test_its_own_normalisation_is_taken_where_none_or_the_same_is_said(backbone: Backbone) -> None:
    for said in (data(), data(mean=MEAN, std=STD)):
        backbone.validate_preprocess(said)
        kept = kept_preprocess(said, [backbone.to_dict()])
        assert (kept["mean"], kept["std"]) == (MEAN, STD)
    assert kept_preprocess(data(), None)["mean"] == [0.0] * 3


@pytest.mark.parametrize("backbone", [HUB, FILE])
@pytest.mark.parametrize("normalize", ["image", "local"])
def test_another_normalisation_of_each_image_is_refused(normalize: str, backbone: Backbone) -> None:
    with pytest.raises(UserError) as refused:
        backbone.validate_preprocess(data(normalize=normalize))
    said = str(refused.value)
    assert said.startswith(f"data.normalize={normalize} with the weights of {backbone.origin}, which have learnt from")
    assert "leave data.normalize=none" in said


def test_another_mean_of_the_data_is_refused_and_for_a_file_the_key_is_named() -> None:
    half = data(mean=[0.5] * 3, std=[0.5] * 3)
    for backbone, ending in ((HUB, "data.std out"), (FILE, r"model.network.std=\[0.5, 0.5, 0.5\]")):
        with pytest.raises(UserError, match=rf"data.mean=\[0.5, 0.5, 0.5\] .* leave data.mean and .*{ending}$"):
            backbone.validate_preprocess(half)


def test_words_and_warnings_name_the_licence() -> None:
    assert HUB.in_words() == f"resnet18.a1_in1k of timm/resnet18.a1_in1k, licence: apache-2.0, SHA-256 {'ab' * 32}"
    assert "licence: that of the file" in FILE.in_words()
    assert "licence: not stated" in replace(HUB, license=None).in_words()
    assert HUB.license_warning() == FILE.license_warning() == ""
    for name in ("cc-by-nc-4.0", "fair-noncommercial-research-license"):
        assert (
            f"the licence {name} of timm/resnet18.a1_in1k allows no commercial"
            in replace(HUB, license=name).license_warning()
        )


@pytest.mark.parametrize("changed", [{"mean": [0.5]}, {"std": ["a"] * 3}, {"license": 3}, {"origin": None}])
def test_a_record_of_other_kinds_is_refused(changed: dict[str, Any]) -> None:
    BACKBONES([HUB.to_dict(), FILE.to_dict()], "backbones")
    with pytest.raises(Mismatch, match="backbones.0"):
        BACKBONES([{**HUB.to_dict(), **changed}], "backbones")
