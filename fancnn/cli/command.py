"""How a command starts: compose its configuration, check it, run its story, say mistakes in words.

The only module that knows `hydra.main`.
"""
# signals are taken before anything is imported that takes time

from fancnn.system import interruption

if interruption.is_command():
    interruption.install()

import atexit
import errno
import functools
import gc
import io
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fancnn.cli.arguments import with_positional
from fancnn.cli.kept_settings import known_targets, replayed, validate_kept
from fancnn.cli.refused_overrides import QUOTING, refused_overrides
from fancnn.cli.typed_settings import typed_settings
from fancnn.errors import CollectedError, UserError, argument, collected
from fancnn.files.atomic_files import sync_with_parents, write_atomically
from fancnn.files.run import Run
from fancnn.files.run_folders import LOCK, RESUMED, claim, holds_run
from fancnn.files.trusted_classes import trust
from fancnn.files.yaml_files import read_yaml
from fancnn.settings.choices import to_dict
from fancnn.settings.earlier_names import override_by_present_names
from fancnn.settings.validation import place_of, validate_writable
from fancnn.system.installation import explained_imports

S = TypeVar("S")
NO_FOLDER = "cannot make the run folder: {}. Work where you can write, or name one: hydra.run.dir=..."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def conf_dir() -> Path:
    """Return the configuration tree: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


def command(
    config_name: str,
    schema: type[S],
    *,
    resume_key: str | None = None,
    resume_in_place: bool = False,
    positional_key: str | None = None,
    build: Callable[[S], object] | None = None,
    adds_to_run: bool = True,
) -> Callable[[Callable[[S], Any]], Callable[[], None]]:
    """Make a story a command: it is called with its configuration as an object of `schema`.

    A `UserError` ends the command with its text and exit code 1, Ctrl-C with 130, SIGTERM with 143.

    Args:
        config_name: Entry file in `conf/`.
        schema: Dataclass of its keys, which refuses wrong values when it is made, and names of files that are not
            there by its method `validate_paths`. It may import the standard library and numpy alone.
        resume_key: A key that names an earlier run; that run's command line is then replayed, unless
            this one says otherwise.
        resume_in_place: Whether the run folder that `resume_key` names is this run's too.
        positional_key: A key whose value is a list; arguments without a key are its items.
        build: Makes the objects that the configuration names, and refuses what they refuse. That takes seconds, and the
            story does it anyway: here it is done where there is a mistake already, so that all are named together.
        adds_to_run: Whether `output_dir` may be the folder of the run that it is about; not where its predictions and
            metrics would take the place of the run's own.
    """
    settings_of = functools.partial(checked, schema=schema, build=build)

    def decorate(story: Callable[[S], Any]) -> Callable[[], None]:
        @functools.wraps(story)
        def task(cfg: DictConfig) -> Any:
            _started.append(True)
            interruption.work_begins()
            try:
                settings = settings_of(cfg)
                _claim_output(settings, adds_to_run=adds_to_run)
                with explained_imports():
                    _outlive_a_power_cut()
                    return story(settings)
            except UserError as error:
                return _exit_with(error)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                return _exit_with(UserError(disk_full(error)))

        compose = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)

        @functools.wraps(story)
        def main() -> None:
            sys.argv[1:] = without_trust(sys.argv[1:])
            if resume_key:
                if {"-m", "--multirun"} & {*sys.argv}:
                    _refuse_resumed_sweep(sys.argv)
                folder = _value(sys.argv[1:], resume_key) if resume_in_place else None
                sys.argv[1:] = _with_earlier(sys.argv[1:], resume_key, config_name, schema)
                sys.argv += [] if folder is None else [f"hydra.run.dir={folder}"]
            if positional_key:
                sys.argv[1:] = with_positional(sys.argv[1:], positional_key)
            _run(compose, config_name, settings_of)

        # for whoever asks what the command would say
        main.checked_in_full = functools.partial(settings_of, in_full=True)  # type: ignore[attr-defined]
        return main

    return decorate


def checked(
    cfg: DictConfig | dict[str, Any],
    schema: type[S],
    build: Callable[[S], object] | None = None,
    *,
    in_full: bool = False,
) -> S:
    """Return the configuration of a command as an object of `schema`, interpolations resolved.

    `build` is that of `command`; `in_full` builds in any case.

    Raises:
        UserError: If a key is unknown or missing, or a value has the wrong type or is refused: all of them at once.
    """
    with collected() as check:
        settings = typed_settings(cfg, schema, check)
        check(lambda: _validate_output(settings))
        if hasattr(settings, "validate_paths"):
            check(settings.validate_paths)
        if build is not None and (check.errors or in_full):
            check(lambda: build(settings))
    return settings


def _validate_output(settings: Any) -> None:
    if (folder := getattr(settings, "output_dir", None)) is not None:
        validate_writable("output_dir", folder, place_of("output_dir", folder))


def in_sweep() -> bool:
    """Return whether this process runs a job of a sweep (`--multirun`)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def leave_settings(settings: Any, run: Path) -> None:
    """Write the settings of a run that no command line composed where Hydra writes those of others.

    Args:
        settings: A dataclass, as a command has them.
        run: Its folder; they go to `.hydra/config.yaml` in it.
    """
    write_atomically(Run(run).configuration, OmegaConf.to_yaml(OmegaConf.create(to_dict(settings))).encode())


def _outlive_a_power_cut() -> None:
    """Bring the run folder that Hydra made to the disk, before anything in it counts on it."""
    config = HydraConfig.get()
    if config.output_subdir is not None:
        sync_with_parents(Path(config.runtime.output_dir) / config.output_subdir)


def without_trust(arguments: Sequence[str]) -> list[str]:
    """Return the command-line arguments without `trust=package.module.Class`, noted in `fancnn.files.trusted_classes`.

    Example:
        >>> without_trust(["run=a", "device=cpu"])
        ['run=a', 'device=cpu']
    """
    values = [value for key, equals, value in (item.partition("=") for item in arguments) if key == "trust" and equals]
    trust(name.strip(" '\"") for value in values for name in value.strip("[]").split(",") if name.strip())
    return [item for item in arguments if not item.startswith("trust=")]


def _with_earlier(arguments: Sequence[str], key: str, name: str, schema: type[Any]) -> list[str]:
    try:
        return with_earlier_overrides(arguments, key, name, schema)
    except UserError as error:
        sys.exit(str(error))


def with_earlier_overrides(arguments: Sequence[str], key: str, name: str, schema: type[Any]) -> list[str]:
    """Put the arguments of the run that `key=` names first, except for keys that the command line sets itself.

    A run folder may come from anywhere: see `fancnn.cli.kept_settings.replayed` for what of it is replayed.

    Args:
        arguments: Of this command.
        key: Whose value is a run folder, or a checkpoint file inside one.
        name: Of the command.
        schema: Dataclass with the command's keys.

    Raises:
        UserError: If the run is one of another command, or its arguments cannot be read, or would do more than set
            values of the training.
    """
    named = {_key(argument): argument.partition("=")[2] for argument in arguments if "=" in argument}
    place = Path(named.get(key, "").strip("'\"")).expanduser()
    folders = (place, place.parent, place.parent.parent) if key in named else ()
    saved = next((file for folder in folders if (file := Run(folder).overrides).is_file()), None)
    if saved is None:
        return list(arguments)
    _refuse_other_command(saved.parents[1], name)
    earlier = [override_by_present_names(item) for item in _listed(saved) if _key(item) not in named]
    keys = [field.name for field in fields(schema)]
    return [*replayed(earlier, str(saved), keys, option_groups(), known_targets(conf_dir())), *arguments]


def _refuse_other_command(run: Path, name: str) -> None:
    """Refuse to go on with a run that another command made, by what Hydra wrote of it."""
    path = Run(run).hydra / "hydra.yaml"
    if not path.is_file():
        return
    maker: Any = read_yaml(path)
    for inner in ("hydra", "job", "name"):
        maker = maker.get(inner) if isinstance(maker, dict) else None
    if not isinstance(maker, str):
        raise UserError(f"{path} is damaged: it does not name the command that made the run")
    if maker != name:
        ways = [f"go on with it by python -m fancnn.{maker} {argument('ckpt', run)}"] if maker in RESUMED else []
        ways += [f"to start with its layers: {argument('init', run)}"] if name == "train" else []
        raise UserError(f"{run} is a run of {maker}: {', or '.join([*ways, f'name one of {name}'])}")


def _listed(path: Path) -> list[str]:
    """Return the arguments that a run's `overrides.yaml` lists; read as plain YAML, in which nothing is filled in."""
    arguments = read_yaml(path)
    if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
        raise UserError(f"{path} is damaged: expected a list of command-line arguments")
    return arguments


def option_groups() -> dict[str, list[str]]:
    """Return the options of each group of the configuration, by the group's name."""
    folders = [folder for folder in conf_dir().iterdir() if folder.is_dir()]
    return {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}


# a help text names the options of a group: ${options:model}
OmegaConf.register_new_resolver("options", lambda group: ", ".join(option_groups()[group]), replace=True)


def kept_settings(kept: Any, schema: type[S], place: str) -> S:
    """Return the settings that a file kept, as an object of `schema`; nothing in them is imported or run.

    Raises:
        UserError: If they are more than data, or as `checked`.
    """
    validate_kept(kept, place, known_targets(conf_dir()))
    with collected() as check:
        settings = typed_settings(kept, schema, check)
    return settings


def _value(arguments: Sequence[str], key: str) -> str | None:
    """Return the last value of `key`, as it is written; None if no argument names it."""
    return next((item.removeprefix(f"{key}=") for item in reversed(arguments) if item.startswith(f"{key}=")), None)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


class ClaimRunFolder(Callback):
    """Takes the run folder before Hydra writes its settings there; Hydra makes it, by `conf/console.yaml`."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.output_subdir is None or _is_helping_process():
            return  # the command leaves no run folder, or the process that started this one has taken it
        folder = Path(config.hydra.run.dir).expanduser().resolve()
        self._claim(folder, goes_on=_goes_on_in(config.get("ckpt"), folder))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refuse_resumed_sweep(config.hydra.overrides.task)
        folder = Path(config.hydra.sweep.dir).expanduser().resolve()
        if any(holds_run(job) for job in folder.glob("*/")):
            sys.exit(f"{folder} holds the runs of a sweep already: name another folder, hydra.sweep.dir=..., or none")
        self._claim(folder)

    def _claim(self, folder: Path, *, goes_on: bool = False) -> None:
        if not folder.exists():
            _made.append(folder)
        try:
            claim(folder, goes_on=goes_on)
        except UserError as error:  # Hydra would make a warning of it
            sys.exit(str(error))
        except OSError as error:
            sys.exit(NO_FOLDER.format(error))


def _refuse_resumed_sweep(arguments: Iterable[str]) -> None:
    """Leave a sweep that should go on with a run: each of its jobs is a run of its own."""
    resumed = [item for item in arguments if item.startswith("ckpt=") and item not in ("ckpt=", "ckpt=null")]
    if resumed:
        sys.exit(
            f"{resumed[-1]} goes on with one run, and --multirun starts a sweep of new ones: leave one of them out. A "
            "job of a sweep that was stopped is a run as any: ckpt=SWEEP/3 goes on with it"
        )


def _claim_output(settings: Any, *, adds_to_run: bool) -> None:
    """Take the folder that `output_dir` names; most often it is the run folder, which is taken already."""
    named = getattr(settings, "output_dir", None)
    if named is None or _is_helping_process():
        return
    folder, own = Path(named).expanduser().resolve(), Path(HydraConfig.get().runtime.output_dir).resolve()
    if folder == own and not in_sweep():
        return
    adds = adds_to_run and not hasattr(settings, "ckpt")
    claim(folder, goes_on=_goes_on_in(getattr(settings, "run" if adds else "ckpt", None), folder))


def _goes_on_in(named: Any, folder: Path) -> bool:
    """Return whether the run that a key names, by its folder or by a checkpoint in it, is that in `folder`."""
    if not named:
        return False
    place = Path(str(named)).expanduser().resolve()
    return folder == (place if place.is_dir() else place.parent.parent)


def _is_helping_process() -> bool:
    """Return whether another process of the same training started this one, as Lightning does for several devices."""
    return any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def disk_full(error: OSError) -> str:
    """Return what to say where there is no room to write."""
    where = f" {error.filename}" if error.filename else ""
    return (
        f"cannot write{where}: {error.strerror}. What was whole before is as it was. Make room, or work elsewhere "
        "(hydra.run.dir=...); a run that was stopped goes on with ckpt=RUN"
    )


def _run(compose: Callable[[], None], name: str, settings_of: Callable[[DictConfig], object]) -> None:
    """Run a composed command; whatever a user can mend ends in words.

    Args:
        compose: Composes the configuration and runs the command.
        name: Of the command.
        settings_of: Checks the values that are composed.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then leaves the telling to us
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no UTF-8; it is shown, and nothing is lost for it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    threading.excepthook = _thread_failed
    gc.set_threshold(100_000, 50, 100)  # imports make objects that stay: looking through them all takes a second
    try:
        try:
            compose()
        except BaseException as end:
            if (code := interruption.exit_code()) is None:
                raise
            if not isinstance(end, SystemExit) or isinstance(end.code, str):  # else what stopped has printed so
                sys.stderr.write("interrupted\n")
            raise SystemExit(code) from None  # whatever the signal became on its way
        if (code := interruption.exit_code()) is not None:  # it was lost on its way
            raise SystemExit(code)
        _finished.append(0)
    except SystemExit as end:
        if isinstance(end.code, int):  # the story's own; a text is still to be printed
            _finished.append(end.code)
        raise
    except KeyboardInterrupt:  # in a program that calls a command
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:  # `--help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (HydraException, ValueError) as error:
        text = composing_mistake(error, sys.argv[1:])
        if text is None:
            raise
        texts = refused_overrides(name, conf_dir(), option_groups(), settings_of, sys.argv[1:]) or [text]
        sys.exit(texts[0] if len(texts) == 1 else str(CollectedError(texts)))
    except OSError as error:
        if not _started:  # Hydra could not write the settings
            _remove_empty_runs()
            sys.exit(NO_FOLDER.format(error))
        if error.errno not in FULL:
            raise
        sys.exit(disk_full(error))  # in a later job of a sweep


def _remove_empty_runs() -> None:
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)


def composing_mistake(error: Exception, arguments: Sequence[str]) -> str | None:
    """Return what to say of an error of Hydra's in composing a configuration; None of any other."""
    if isinstance(error, HydraException):
        cause = f"\n{error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
        hint = f"\n{QUOTING}" if isinstance(error, OverrideParseException) else ""
        return f"{error}{cause}{hint}"
    return _group_without_option(arguments) if "Config group override" in str(error) else None


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Print the traceback of a thread, unless it could not write: then the command itself says so where it writes."""
    error = failure.exc_value
    if not (isinstance(error, OSError) and error.errno in FULL):
        threading.__excepthook__(failure)


def _group_without_option(arguments: Sequence[str]) -> str:
    """Return what to say where a group is set to null, or to a number."""
    assignments = [argument.partition("=") for argument in arguments]
    groups = [(key, value) for key, _, value in assignments if (conf_dir() / key).is_dir()]
    options = {key: ", ".join(sorted(path.stem for path in (conf_dir() / key).glob("*.yaml"))) for key, _ in groups}
    return "\n".join(f"{key}={value} is none of {options[key]}" for key, value in groups if value not in options[key])


_made: list[Path] = []  # run folders that were not there before
_started: list[bool] = []  # once there is a run folder
_finished: list[int] = []  # the exit code, once the work is done


@atexit.register  # at import, so that it comes after whatever the libraries do at the end
def _leave_at_once() -> None:
    """End a command that has done its work without taking its modules apart, which takes more than a second."""
    if _finished and interruption.is_command():
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except BrokenPipeError:
            os._exit(141)
        os._exit(_finished[-1])


def _exit_with(error: UserError) -> None:
    """End with the message of a mistake; in a sweep the other jobs go on, and the sweep fails at its end."""
    config = HydraConfig.get()
    if in_sweep():
        sys.stderr.write(f"job {config.job.num} ({' '.join(config.overrides.task)}) failed: {error}\n")
        raise CompactHydraException("a job of the sweep failed, see above") from error
    run = Path(config.runtime.output_dir)
    if config.output_subdir and {item.name for item in run.iterdir()} - {LOCK} == {config.output_subdir}:
        shutil.rmtree(run)  # nothing happened in it
    sys.exit(str(error))
