"""The story of `python -m fancnn.filters`: filters in order of what they are worth, by one criterion beside another.

`filters.csv`, version 1: a row a filter, layers in their order: layer (where a residual sum joins several, the first
of them), filter (its index there, from 0), and for each criterion its value and, as `<criterion>_rank`, its place from
1 on, the filter worth most first, equal ones with their mean place. The criteria: `CRITERIA` of
`fancnn.networks.channel_importance`.

`filters.json`, version 2 (1 had `part` and `pictures` for split and images): format (`fancnn-filters`), version, run,
weights_sha256 (of its model, as in its `metrics.json`; absent before), split and images (that were looked at),
criteria (in words, by name), layers (by name: filters, and `spearman` and `kendall`: rank correlation of two criteria
by their names, of what each counts as worth; null where one of them has no order).

`filters-<layer>.png` for each layer: the ranks as a table, and the kernels in the order of each criterion.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fancnn.errors import UserError
from fancnn.files.atomic_files import write_atomically
from fancnn.files.json_files import write_json
from fancnn.files.tables import table_writer
from fancnn.filters.filter_figures import ranks_drawing
from fancnn.filters.settings import FilterSettings
from fancnn.metrics.rank_agreement import Agreement, agreement
from fancnn.networks.channel_importance import CRITERIA, OF_SCORES, Values, measured
from fancnn.networks.dependency_groups import DependencyGroup
from fancnn.runs.earlier_run import read_run
from fancnn.system.console import say
from fancnn.system.memory import keep_freed_memory

FORMAT, VERSION = "fancnn-filters", 2
TABLE_VERSION = 1  # of filters.csv
SPLIT = "val"  # chosen on, never stated on: the test split stays for the last look
TRUTH = "performance"
COLUMNS = ("layer", "filter", *(name for criterion in CRITERIA for name in (criterion, f"{criterion}_rank")))
Agreements = dict[tuple[str, str], Agreement]


def rank_filters(settings: FilterSettings) -> dict[str, dict[str, Values]]:
    """Measure the filters of the layer asked for, or of all, on validation; leave table, JSON and images.

    Returns:
        Values by layer and criterion.

    Raises:
        UserError: If the run, its images or the layer cannot be found.
    """
    keep_freed_memory()
    run = read_run(settings.run, settings.device, settings.image_limits, unfinished=True)
    groups = chosen_groups(run.groups, settings.layer)
    batches, output = run.batches(SPLIT), Path(settings.output_dir)
    about = {"run": str(run.folder.resolve()), "split": SPLIT, "images": sum(len(labels) for _, labels in batches)}
    about["weights_sha256"] = run.model.weights_sha256
    count = sum(group.width(run.model.network) for group in groups)
    say(f"{settings.run}: {count} filters, each left out once on {about['images']} images of {SPLIT}\n")
    values = measured(run.model, run.model.network, groups, batches, tuple(CRITERIA))
    by_layer = {group.name: of_group for group, of_group in values.items()}
    agreements = {name: _agreements(of_layer) for name, of_layer in by_layer.items()}
    _write_table(output / "filters.csv", by_layer)
    _write_json(output / "filters.json", about, by_layer, agreements)
    for name, of_layer in by_layer.items():
        orders = {criterion: CRITERIA[criterion].order(numbers) for criterion, numbers in of_layer.items()}
        ranks = {criterion: CRITERIA[criterion].ranks(numbers) for criterion, numbers in of_layer.items()}
        drawing = ranks_drawing(name, orders, ranks, _kernel(run.model.network, name), TRUTH)
        write_atomically(output / f"filters-{name}.png", drawing.png())
    for name, criterion in CRITERIA.items():
        say(f"{_number(name)} {name:17}  {criterion.says}")
    _print_agreements(by_layer, agreements)
    for name, of_layer in by_layer.items():
        for line in worthless(of_layer):
            say(f"{name}: {line}")
    say(f"\nfilters.csv, filters.json, filters-<layer>.png: {output}")
    return by_layer


def worthless(values: Mapping[str, Values]) -> list[str]:
    """Return sentences on filters that are silent, and on scores that most filters do not better.

    Args:
        values: Of a layer, by criterion.

    Example:
        >>> worthless({"activation": np.array([0.0, 2.0, 1.0]), "performance": np.array([0.0, -0.2, 0.1])})
        ['silent on every image (activation 0): filter 0', 'by performance 1 of 3 filters harm, 1 change nothing']
    """
    sentences = []
    if silent := np.flatnonzero(values["activation"] == 0).tolist():
        which = ", ".join(map(str, silent))
        sentences.append(f"silent on every image (activation 0): filter{'s' * (len(silent) > 1)} {which}")
    for name in OF_SCORES:
        if name in values and 2 * np.sum(values[name] <= 0) > (count := len(values[name])):
            harm, nothing = np.sum(values[name] < 0), np.sum(values[name] == 0)
            sentences.append(f"by {name} {harm} of {count} filters harm, {nothing} change nothing")
    return sentences


def chosen_groups(groups: Sequence[DependencyGroup], layer: str | None) -> list[DependencyGroup]:
    """Return the groups that a layer means, by any of its producers' names; None is the first, `all` all.

    Raises:
        UserError: If it means none.
    """
    if layer is None:
        return [groups[0]]
    if chosen := [group for group in groups if layer in ("all", *group.producers)]:
        return chosen
    names = ", ".join(name for group in groups for name in group.producers)
    raise UserError(f"layer={layer} has no filters that can be ranked. There are {names}; or all")


def _agreements(values: Mapping[str, Values]) -> Agreements:
    """Return how well each two criteria agree on which filters are worth more."""
    worth = {
        name: of_criterion if CRITERIA[name].greater_is_worth_more else -of_criterion
        for name, of_criterion in values.items()
    }
    return {(one, other): agreement(worth[one], worth[other]) for one in worth for other in worth}


def _kernel(network: nn.Module, name: str) -> Any:
    weight = network.get_submodule(name).weight
    return weight.detach().cpu().numpy()  # type: ignore[operator]


def _write_table(path: Path, by_layer: Mapping[str, Mapping[str, Values]]) -> None:
    with table_writer(path, COLUMNS, TABLE_VERSION) as add:
        for layer, values in by_layer.items():
            ranks = {f"{name}_rank": CRITERIA[name].ranks(of_name) for name, of_name in values.items()}
            for place in range(len(values["order"])):
                row = {name: column[place].item() for name, column in values.items()}
                places = {name: f"{column[place]:.10g}" for name, column in ranks.items()}
                add({"layer": layer, "filter": place, **row, **places})


def _write_json(
    path: Path,
    about: Mapping[str, Any],
    by_layer: Mapping[str, Mapping[str, Values]],
    agreements: Mapping[str, Agreements],
) -> None:
    layers = {
        layer: {
            "filters": len(values["order"]),
            **{
                kind: {one: {other: getattr(agreements[layer][one, other], kind) for other in values} for one in values}
                for kind in ("spearman", "kendall")
            },
        }
        for layer, values in by_layer.items()
    }
    says = {name: criterion.says for name, criterion in CRITERIA.items()}
    write_json(path, {"format": FORMAT, "version": VERSION, **about, "criteria": says, "layers": layers})


def _print_agreements(by_layer: Mapping[str, Mapping[str, Values]], agreements: Mapping[str, Agreements]) -> None:
    """Print how well criteria agree: of one layer each with each other one, of several layers each with the truth."""
    names = list(CRITERIA)
    if len(by_layer) == 1:
        ((layer, of_layer),) = agreements.items()
        say(f"\n{layer}: do they agree? Spearman's rank correlation above the diagonal, Kendall's below")
        _print_row("", map(_number, names))
        for one in names:
            _print_row(f"{_number(one)} {one}", (_cell(of_layer, names, one, other) for other in names))
    else:
        others = [name for name in names if name != TRUTH]
        say(f"\ndo they agree with {TRUTH}? Spearman's rank correlation")
        _print_row("", ["count", *map(_number, others)])
        for layer, values in by_layer.items():
            cells = (_shown(agreements[layer][name, TRUTH].spearman) for name in others)
            _print_row(layer, [str(len(values["order"])), *cells])
    say("1 the same order, 0 none in common, -1 the reverse; - where a criterion gives no order")


def _print_row(heading: str, cells: Iterable[str]) -> None:
    """Print a row of ten narrow columns, for a narrow terminal."""
    say(f"{heading:22}" + "".join(f"{cell:>6}" for cell in cells))


def _cell(of_layer: Agreements, names: Sequence[str], one: str, other: str) -> str:
    if one == other:
        return ""
    of_pair = of_layer[one, other]
    return _shown(of_pair.spearman if names.index(one) < names.index(other) else of_pair.kendall)


def _number(name: str) -> str:
    """Return a criterion's number, a heading so short that ten columns stand side by side."""
    return str(list(CRITERIA).index(name) + 1)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
