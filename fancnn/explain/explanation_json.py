"""`explain.json`: what `python -m fancnn.explain` found, as numbers.

Format version 2 (version 1 called `split` `part` and `images` `pictures`):

| key | meaning |
| --- | --- |
| format, version | `fancnn-explain`, 2 |
| weights_sha256 | of the model, as in the run's `metrics.json`; absent before |
| run, epoch, split | the run, the epoch of its weights, and the split its images are of (null: `input` named others) |
| layer, methods, baseline | as configured; `layer` is the one that was taken |
| images | a list: path, why it is shown, label (null: not known), logit (not calibrated), probability, decision, |
| | and `found_type`, the likeliest were it NG, with its share of P(NG), `type_share` (empty and null without types) |
| completeness | of integrated gradients: the largest distance of their sum to what the logit gained |
| first_layer | `layer`, and by filter `change`: its length in lengths of the first weights; or null |
| check | null where no masks are known; else `split`, `images`, and by method `all` and `by_type`, each with |
| | the fields of `fancnn.metrics.localization.Localisation`, rates as {value, interval}, and `outcome`: |
| | `passes`, `fails` or `too few`; by method a sentence, `verdict`, too |
| versions | of the packages that decide numbers |
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fancnn.files.json_files import write_json

FORMAT, VERSION = "fancnn-explain", 2


def write_explanation(path: Path, content: Mapping[str, Any]) -> None:
    """Write `explain.json`; `content` has the keys of the table above but the first two."""
    write_json(path, {"format": FORMAT, "version": VERSION, **content})
