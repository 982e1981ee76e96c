"""Wrong values for every key of every command, and what the command would say to each.

    for command, overrides in mutations(place):
        outcome = judge(command, overrides)

`mutations` gives the arguments of a command line each: good ones, and one that is wrong, or at least strange. `judge`
composes them and runs whatever the command checks and builds before it begins its work; nothing is trained and no
process is started, so that some thousands take minutes.
"""

import importlib
import signal
import traceback
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from samples import write_images

from fancnn.__main__ import commands
from fancnn.cli.command import composing_mistake, conf_dir, option_groups
from fancnn.errors import UserError

Kind = Literal["accepted", "refused", "traceback", "hang"]
SECONDS = 300  # no checks take so long, on a busy machine either: the rest is a hang
TRAINING = ("train", "crossval", "size", "lr_find", "pretrain", "benchmark")
RUN_ALONE = ("evaluate", "certify", "report", "explain", "filters", "prune", "export", "decide")
VALUES = (
    *("many", "''", "'Ünïcödé ☃'", "[a,b]", "[]", "{a: 1}", "{}", "null", "true", "false"),
    *("-1", "0", "0.5", "1e30", "1e-300", "nan", "inf", "-inf", "1000000000", "1" + 30 * "0"),
    *("/no/such/place", "~nobody/place", "{folder}", "{file}", 300 * "x"),
)
OF_OBJECTS = (  # added to whatever has a `_target_`
    *("_partial_=true", "_partial_=false", "_partial_=3", "_recursive_=false", "_args_=[1]", "_convert_=none"),
    *("_target_=3", "_target_=null", "_target_=''", "_target_=os.system", "_target_=torch.nn.Linear"),
    *("_target_=torch.optim.SGD", "_target_=torch.nn", "_target_=fancnn.networks.ConvNet", "surprise=1"),
    "_target_=fancnn.training.schedules.constant",
)
OF_GROUPS = ("history", "[a]", "3", "null", "{history: 3}")
OF_TRAINER = (
    *("num_sanity_val_steps=2", "callbacks=3", "logger=true", "plugins=[a]", "default_root_dir=/tmp", "devices=0"),
    *("devices=many", "devices=-7", "accelerator=[a]", "strategy=3", "strategy=none", "gradient_clip_val=-1"),
    *(
        "gradient_clip_val=nan",
        "gradient_clip_val=many",
        "gradient_clip_algorithm=many",
        "max_steps=many",
        "max_steps=-7",
    ),
    *(
        "max_time=many",
        "limit_train_batches=many",
        "limit_train_batches=-1",
        "limit_val_batches=1.5",
        "overfit_batches=2.5",
    ),
    *("val_check_interval=many", "val_check_interval=-1", "check_val_every_n_epoch=0", "check_val_every_n_epoch=2"),
    *("check_val_every_n_epoch=many", "accumulate_grad_batches=0", "accumulate_grad_batches=many", "fast_dev_run=many"),
    *("log_every_n_steps=-1", "log_every_n_steps=many", "profiler=many", "sync_batchnorm=many", "benchmark=many"),
    *("reload_dataloaders_every_n_epochs=-1", "min_epochs=many", "min_steps=many", "enable_checkpointing=false"),
    *("enable_checkpointing=many", "barebones=true", "inference_mode=many", "detect_anomaly=many", "num_nodes=0"),
    *("num_nodes=many", "enable_progress_bar=true", "enable_model_summary=true", "use_distributed_sampler=true"),
    *("max_time=-1", "deterministic=many", "model_registry=3", "precision=64-true", "epochs=3"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command says to its arguments; `text` is empty where it takes them."""

    kind: Kind
    text: str = ""


@dataclass(frozen=True)
class Place:
    """A folder with what commands ask for: images, a run, an exported file, a table."""

    root: Path

    def made(self) -> "Place":
        write_images(self.root / "images", {"GO": 3, "NG": 3})
        (self.root / "run/checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("run/checkpoints/best.ckpt", "inspector.onnx", "table.csv"):
            (self.root / name).touch()
        return self

    def good(self, command: str) -> list[str]:
        """Arguments that a command takes."""
        run, images = f"run={self.root}/run", f"{self.root}/images"
        training = [
            "model=tiny",
            "data.image_size=[16,16]",
            f"data.root={images}",
            "overrides=[]",
            "trainer.accelerator=cpu",
        ]
        first: dict[str, list[str]] = {
            **dict.fromkeys(TRAINING, training),
            **{name: [run] for name in RUN_ALONE},
            "compare": [f"runs=[{self.root}/table.csv,{self.root}/run]"],
            "ensemble": [f"runs=[{self.root}/run,{self.root}/run]"],
            "predict": [run, f"input={images}"],
            "parity": [run, f"input={images}", f"file={self.root}/inspector.onnx"],
            "serve": [f"file={self.root}/inspector.onnx"],
            "audit": [f"data.root={images}"],
            "fans": [f"root={self.root}/fans"],
            "surfaces": [f"root={self.root}/surfaces"],
            "describe": ["model=tiny", "data.image_size=[16,16]"],
        }
        has_output = "output_dir" in _composed(command, ())
        return [*first.get(command, []), *([f"output_dir={self.root}/out"] if has_output else [])]


def mutations(root: Path, *, short: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Give a command's name and its arguments, one of them wrong.

    Args:
        root: A folder for what the good arguments name; it is made.
        short: One of each kind for each command, in place of all for all.
    """
    place = Place(root).made()
    for command in sorted(commands()):
        good, known = place.good(command), set[str]()
        if command in ("crossval", "size", "lr_find", "benchmark"):
            known = set(_leaves(_composed("train", tuple(place.good("train")))))  # these were mutated there
        for number, wrong in enumerate(_wrong(command, good, place, known)):
            if not short or number % 400 == 0 or _is_special(wrong):
                yield command, [*good, wrong]
        if command in ("train", "pretrain"):
            for number, pair in enumerate(_taken_away(command, good)):
                if not short or number % 40 == 0:
                    yield command, [*good, *pair]


def _is_special(wrong: str) -> bool:
    return wrong.startswith(("+surprise", "~seed", "~run", "callbacks.history=", "model.optimizer._partial_"))


def _wrong(command: str, good: list[str], place: Place, known: set[str]) -> Iterator[str]:
    cfg = _composed(command, tuple(good))
    leaves = [key for key in _leaves(cfg) if key not in known]
    for key in leaves:
        for value in VALUES:
            filled = value.replace("{folder}", str(place.root / "images")).replace(
                "{file}", str(place.root / "table.csv")
            )
            yield f"{key}={filled}"
        yield f"~{key}"
    yield "+surprise=1"
    groups = [key for key in _groups(cfg) if key not in known]
    for key in groups if command in ("train", "pretrain") else [key for key in groups if "." not in key]:
        yield from (f"{key}={value}" for value in OF_GROUPS)
        yield f"+{key}.surprise=1"
        yield f"~{key}"
    if command in ("train", "pretrain", "describe"):
        for key in (key for key in groups if "_target_" in OmegaConf.select(cfg, key)):
            yield from (f"++{key}.{extra}" for extra in OF_OBJECTS)
            yield f"~{key}._target_"
    if command in ("train", "pretrain"):
        yield from (f"++trainer.{extra}" for extra in OF_TRAINER)
        for name, options in option_groups().items():
            if name in cfg or name in ("optimizer", "loss", "experiment", "averaging"):
                yield from (f"{name}={option}" for option in (*options, "none_such", "null", "3", "[a]"))
    if command == "train":
        yield from _swapped(cfg)
        yield from _augmented(place)


def _taken_away(command: str, good: list[str]) -> Iterator[tuple[str, str]]:
    """Yield an option of a group, and a key that is there without it and gone with it."""
    before = _leaves(_composed(command, tuple(good)))
    for name, options in option_groups().items():
        for option in options:
            choice = f"{name}={option}"
            try:
                after = {*_leaves(_composed(command, (*good, choice)))}
            except Exception:  # this command has no such group: tried among the single ones
                continue
            for key in before:
                if key not in after:
                    yield choice, f"{key}=1"


def _swapped(cfg: DictConfig) -> Iterator[str]:
    """Descriptions of objects in each other's places."""
    keys = ("model.network", "model.loss", "model.optimizer", "schedule", "callbacks.history", "logger.tensorboard")
    for key in keys:
        for other in keys:
            if other != key:
                yield f"{key}=${{{other}}}"


def _augmented(place: Place) -> Iterator[str]:
    light = "{border: edge, transforms: {shift: {_target_: fancnn.augmentation.Translate, share: 0.1}}}"
    yield f"augment={light}"
    for value in ("3", "[a]", "many", "{a: 1}", "{_target_: fancnn.networks.ConvNet}", "{share: 0.1}"):
        yield f"augment={{border: edge, transforms: {{shift: {value}}}}}"
    for value in VALUES[:20]:
        shift = f"{{_target_: fancnn.augmentation.Translate, share: {value}}}"
        yield f"augment={{border: edge, transforms: {{shift: {shift}}}}}"
        yield f"augment={{border: {value}, transforms: {{}}}}"


def judge(command: str, overrides: list[str], *, anew: bool = False) -> Outcome:
    """Say what the command would say before it begins its work.

    Args:
        command: Its name.
        overrides: Its arguments; the last one alone is wrong, unless they are composed `anew`, which takes longer.
        anew: Whether they are.
    """
    main: Any = importlib.import_module(f"fancnn.{command}.__main__").main
    _imported()
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(SECONDS)
    try:
        main.checked_in_full(_composed.__wrapped__(command, tuple(overrides)) if anew else _mutated(command, overrides))
    except UserError as error:
        return Outcome("refused", str(error))
    except TimeoutError:
        return Outcome("hang", traceback.format_exc())
    except Exception as error:  # whatever comes is what a user would see
        text = composing_mistake(error, overrides)
        return Outcome("traceback", traceback.format_exc()) if text is None else Outcome("refused", text)
    finally:
        signal.alarm(0)
    return Outcome("accepted")


@cache
def _imported() -> None:
    """Import what building needs, once and for all: on a busy machine that takes longer than any check may."""
    importlib.import_module("fancnn.describe.describe")
    importlib.import_module("fancnn.pretrain.pretrain")
    importlib.import_module("torch._dynamo")  # by the first step of an optimizer


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def _mutated(command: str, overrides: list[str]) -> DictConfig:
    """The configuration; composed anew only where the last argument chooses in a group."""
    *good, wrong = overrides
    (parsed,) = OverridesParser.create().parse_overrides([wrong])
    if parsed.key_or_group in option_groups():
        return _composed.__wrapped__(command, tuple(overrides))
    cfg = deepcopy(_composed(command, tuple(good)))
    ConfigLoaderImpl._apply_overrides_to_config([parsed], cfg)  # as compose does, which takes ten times as long
    return cfg


@cache
def _composed(command: str, overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, overrides=list(overrides))


def _leaves(cfg: DictConfig, prefix: str = "") -> list[str]:
    found = []
    for key in cfg:
        node = cfg._get_node(key)
        inside = _leaves(node, f"{prefix}{key}.") if isinstance(node, DictConfig) and node._content else []
        found += inside or [f"{prefix}{key}"]
    return found


def _groups(cfg: DictConfig, prefix: str = "") -> list[str]:
    found = []
    for key in cfg:
        node = cfg._get_node(key)
        if isinstance(node, DictConfig) and isinstance(node._content, dict):
            found += [f"{prefix}{key}", *_groups(node, f"{prefix}{key}.")]
    return found
