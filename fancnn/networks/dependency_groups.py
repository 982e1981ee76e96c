"""Which layers share channels, what a network is without some of them, and how that network is described.

A filter's output passes its norm and activation and is read by the layers that come next. The filters whose outputs
are added by residual sums are one: what reads the sum cannot distinguish them. So a `DependencyGroup` is all layers
that produce a set of channels, their norms, and all layers that read them; removing a channel removes its slice of
each.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from fancnn.networks.convnet import ConvNet
from fancnn.networks.layers import MeanAndMax
from fancnn.networks.residual import ResidualBlock, ResidualNet


@dataclass(frozen=True)
class DependencyGroup:
    """Channels that can only be removed from all of their layers at once; layers are named as in the network.

    Attributes:
        argument: Of the network, and the place in it, that says how many channels there are: `("filters", 0)`.
        producers: Convolutions or linear layers, a filter for each channel; the first one names the group.
        norms: Batch norms of the channels. (Norms over several channels are in no group: see `validate_separable`.)
        consumers: The layers that read the channels.
        mean_and_max: Those of them that read two values of each channel, as `MeanAndMax` gives them.
    """

    argument: tuple[str, int]
    producers: tuple[str, ...]
    norms: tuple[str, ...]
    consumers: tuple[str, ...]
    mean_and_max: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.producers[0]

    def width(self, network: nn.Module) -> int:
        """Return how many channels."""
        return len(network.get_submodule(self.name).weight)  # type: ignore[arg-type]

    def by_channel(self, layer: str, values: Tensor, width: int) -> Tensor:
        """Return what a consumer reads, or its kernel, as `(batch, rounds, channels, values)`.

        Flattening put the values of a channel together; with mean and max the channels come round a second time.
        """
        return values.reshape(len(values), 2 if layer in self.mean_and_max else 1, width, -1)


def channel_groups(network: nn.Module) -> list[DependencyGroup]:
    """Return all groups of `network`, from its images to its logit.

    Raises:
        ValueError: If it is none of the networks whose wiring is known.

    Example:
        >>> [group.name for group in channel_groups(ConvNet((80, 80)))]
        ['blocks.0.0', 'blocks.1.0', 'hidden.1.0']
    """
    if isinstance(network, ConvNet | ResidualNet):
        groups = _of_convnet(network) if isinstance(network, ConvNet) else _of_residual(network)
        places = {name: place for place, (name, _) in enumerate(network.named_modules())}
        return sorted(groups, key=lambda group: places[group.name])
    raise ValueError(
        f"which filters of {type(network).__name__} belong together is not known: ConvNet (model=basic, wide, deep, "
        "narrowing, strided, tiny) and ResidualNet (model=residual) can be taken"
    )


def validate_separable(network: nn.Module) -> None:
    """Refuse norms over several channels: without one of them, they would make something else of the others.

    Raises:
        ValueError: If there is one.
    """
    if any(isinstance(layer, nn.GroupNorm) for layer in network.modules()):
        raise ValueError(
            "norm=layer and norm=group take the spread of several channels together, so that none can be removed "
            "without a change to the others. Networks with norm=batch or norm=none can be pruned"
        )


@contextmanager
def silenced(network: nn.Module, group: DependencyGroup, channels: Sequence[int]) -> Iterator[None]:
    """Let the layers that read `channels` of `group` read zeros instead, inside the context."""
    width, places = group.width(network), torch.tensor(channels, dtype=torch.int64)

    def zero(name: str, values: Tensor) -> tuple[Tensor]:
        parts = group.by_channel(name, values, width)
        return (parts.index_fill(2, places.to(values.device), 0.0).view_as(values),)

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: zero(name, inputs[0]))
        for name in group.consumers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def prune_state_dict(network: nn.Module, kept: Mapping[DependencyGroup, Sequence[int]]) -> dict[str, Tensor]:
    """Return the weights of the network that has the channels `kept` alone, of every group that is named.

    Its outputs are those of `network` with all other channels silenced. Load them into a network that was made with
    `pruned_kwargs`.

    Args:
        network: Left as it is.
        kept: Indices of channels, ascending.
    """
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    for group, channels in kept.items():
        places, width = torch.tensor(channels, dtype=torch.int64), group.width(network)
        for layer in (*group.producers, *group.norms):
            for part in ("weight", "bias", "running_mean", "running_var"):
                if (name := f"{layer}.{part}") in weights:
                    weights[name] = weights[name][places.to(weights[name].device)]
        for layer in group.consumers:
            kernel = weights[f"{layer}.weight"]
            chosen = group.by_channel(layer, kernel, width)[:, :, places.to(kernel.device)]
            weights[f"{layer}.weight"] = chosen.reshape(len(kernel), -1, *kernel.shape[2:])
    return weights


def pruned_kwargs(network: nn.Module, kept: Mapping[DependencyGroup, Sequence[int]]) -> dict[str, list[int]]:
    """Return the arguments of the network that has the channels `kept` alone, where they say how many there are.

    Args:
        network: As it is now.
        kept: Indices of channels; groups of one argument keep as many.

    Example:
        >>> network = ConvNet((80, 80))
        >>> pruned_kwargs(network, {channel_groups(network)[1]: range(10)})
        {'filters': [32, 10], 'hidden': [128]}
    """
    widths: dict[str, dict[int, int]] = {}
    for group in channel_groups(network):
        name, place = group.argument
        widths.setdefault(name, {})[place] = len(kept[group]) if group in kept else group.width(network)
    return {name: [of_place[place] for place in sorted(of_place)] for name, of_place in widths.items()}


def _of_convnet(network: ConvNet) -> Iterator[DependencyGroup]:
    dense = [f"hidden.{place}.0" for place in range(1, len(network.hidden))] + ["logit"]
    blocks = [_Row(f"blocks.{place}", block) for place, block in enumerate(network.blocks)]
    readers = [*(row.convolutions[0] for row in blocks[1:]), dense[0]]
    twice = (dense[0],) if isinstance(network.hidden[0], MeanAndMax) else ()
    for place, (row, reader) in enumerate(zip(blocks, readers, strict=True)):
        argument, norms = ("filters", place), row.norms()
        if len(row.convolutions) == 2:  # the second makes images smaller, in place of a pool
            yield DependencyGroup(argument, row.convolutions[:1], norms, row.convolutions[1:])
            norms = ()
        yield DependencyGroup(argument, row.convolutions[-1:], norms, (reader,), twice if reader == dense[0] else ())
    for place, (linear, reader) in enumerate(pairwise(dense)):
        yield DependencyGroup(("hidden", place), (linear,), (), (reader,))


def _of_residual(network: ResidualNet) -> Iterator[DependencyGroup]:
    """Yield the sums of a stage, each of which ends where a convolution stands in the place of the shortcut."""
    stem, head = _Row("stem", network.stem), _Row("head", network.head)
    producers, norms, consumers = stem.convolutions, stem.norms(), tuple[str, ...]()
    for stage, blocks in enumerate(network.stages):
        for place, block in enumerate(blocks.children()):
            assert isinstance(block, ResidualBlock)
            name = f"stages.{stage}.{place}"
            branch = _Row(f"{name}.branch", block.branch)
            first, second = branch.convolutions
            consumers, norms = (*consumers, first), norms + branch.norms(before=first)
            if isinstance(block.shortcut, nn.Sequential):
                shortcut = _Row(f"{name}.shortcut", block.shortcut)
                reading = (*consumers, *shortcut.convolutions)
                yield DependencyGroup(("widths", stage - 1), producers, norms, reading)
                producers, norms, consumers = shortcut.convolutions, shortcut.norms(), ()
            yield DependencyGroup(("widths", stage), (first,), branch.norms(after=first, before=second), (second,))
            producers, norms = (*producers, second), norms + branch.norms(after=second)
    twice = ("logit",) if any(isinstance(layer, MeanAndMax) for layer in network.head) else ()
    reading = (*consumers, "logit")
    yield DependencyGroup(("widths", len(network.stages) - 1), producers, norms + head.norms(), reading, twice)


class _Row:
    """The layers of a sequence by their names in the network."""

    def __init__(self, name: str, layers: nn.Module) -> None:
        self.layers = {f"{name}.{place}": layer for place, layer in layers.named_children()}
        self.convolutions = tuple(key for key, layer in self.layers.items() if isinstance(layer, nn.Conv2d))

    def norms(self, *, after: str | None = None, before: str | None = None) -> tuple[str, ...]:
        """Return the batch norms, of those layers that come after one and before another."""
        names = list(self.layers)
        start, end = (names.index(after) if after else 0), (names.index(before) if before else len(names))
        return tuple(name for name in names[start:end] if isinstance(self.layers[name], nn.BatchNorm2d))
