"""Where weights come from that another program has taught: origin, licence, and how their images were normalised."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fancnn.errors import UserError
from fancnn.files.plain_data import list_of, number, optional, record, text
from fancnn.settings.choices import to_dict
from fancnn.settings.groups import PreprocessSettings

PLAIN_MEAN, PLAIN_STD = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]

_THREE = list_of(number, 3, 3)
_TEXTS = dict.fromkeys(("network", "origin", "sha256"), text)
BACKBONES = list_of(
    record({**_TEXTS, "license": optional(text), "mean": _THREE, "std": _THREE}, (*_TEXTS, "license", "mean", "std"))
)
"""What files keep under `backbones`: one record for each backbone, of an ensemble those of its members."""


@dataclass(frozen=True)
class Backbone:
    """A network that has learnt elsewhere, as the files of a run keep it: what they owe to whom.

    Attributes:
        network: Its name, with the tag that says which of its weights.
        origin: Where the weights come from: a repository of the Hugging Face hub, or the name of a file.
        sha256: Of the bytes of their file.
        license: As timm states it; None where it does not, and for a file, whose owner knows.
        mean: Of each channel, that was subtracted from the images it has learnt from, scaled to [0, 1].
        std: Of each channel, that they were divided by.
    """

    network: str
    origin: str
    sha256: str
    license: str | None
    mean: Sequence[float]
    std: Sequence[float]

    @property
    def is_file(self) -> bool:
        return "/" not in self.origin

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def validate_preprocess(self, data: PreprocessSettings) -> None:
        """Refuse `data` that prepares images otherwise than it has learnt to see them.

        Raises:
            UserError: Saying what to leave out.
        """
        if data.normalize != "none":
            raise UserError(
                f"data.normalize={data.normalize} with the weights of {self.origin}, which have learnt from images "
                f"minus mean={list(self.mean)} over std={list(self.std)}: leave data.normalize=none, and images are "
                "normalised like that, or train without model.network.weights"
            )
        stated = list(data.mean), list(data.std)
        if stated not in ((PLAIN_MEAN, PLAIN_STD), (list(self.mean), list(self.std))):
            otherwise = (
                f". Where they have learnt with others: model.network.mean={stated[0]} model.network.std={stated[1]}"
                if self.is_file
                else ""
            )
            raise UserError(
                f"data.mean={stated[0]} data.std={stated[1]}: the weights of {self.origin} have learnt with "
                f"mean={list(self.mean)} std={list(self.std)}, which are taken: leave data.mean and data.std "
                f"out{otherwise}"
            )

    def in_words(self) -> str:
        known = self.license or ("that of the file" if self.is_file else "not stated")
        return f"{self.network} of {self.origin}, licence: {known}, SHA-256 {self.sha256}"

    def license_warning(self) -> str:
        """Return a sentence for a licence that a plant has to read before it uses the model; empty for others."""
        name = (self.license or "").lower()
        if self.is_file or not any(word in name for word in ("-nc", "noncommercial", "non-commercial", "research")):
            return ""
        return f"the licence {self.license} of {self.origin} allows no commercial use: read it before a line uses this"


def kept_preprocess(data: PreprocessSettings, backbones: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the arguments of `Preprocess`, as files keep them: those of `data`, normalised as a backbone has learnt.

    Where `data` itself says how to normalise, that counts: `Backbone.validate_preprocess` has asked whether it may.
    """
    kept = to_dict(data)
    own = {name: kept[name] for name in PreprocessSettings.__dataclass_fields__}
    plain = own["normalize"] == "none" and (own["mean"], own["std"]) == (PLAIN_MEAN, PLAIN_STD)
    if backbones and plain:
        own |= {name: list(backbones[0][name]) for name in ("mean", "std")}
    return own
