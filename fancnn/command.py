"""How a command starts: compose its configuration, check it, run its story, say mistakes in words.

The only module that knows `hydra.main`.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fancnn.errors import UserError
from fancnn.installation import explained_imports

S = TypeVar("S")


def conf_dir() -> Path:
    """The configuration tree: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


def command(config_name: str, schema: type[S]) -> Callable[[Callable[[S], Any]], Callable[[], None]]:
    """Make a story a command: it is called with its configuration as an object of `schema`.

    A `UserError` ends the command with its text and exit code 1, Ctrl-C with 130.
    """

    def decorate(story: Callable[[S], Any]) -> Callable[[], None]:
        @functools.wraps(story)
        def task(cfg: DictConfig) -> Any:
            try:
                with explained_imports():
                    return story(checked(cfg, schema))
            except UserError as error:
                raise CompactHydraException(str(error)) from error  # Hydra prints these without a traceback

        compose = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)

        @functools.wraps(story)
        def main() -> None:
            try:
                compose()
            except KeyboardInterrupt:
                sys.stderr.write("interrupted\n")
                sys.exit(130)
            except BrokenPipeError:  # `--help | head`: the reader has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(141)

        return main

    return decorate


def checked(cfg: DictConfig, schema: type[S]) -> S:
    """The configuration as an object of `schema`, interpolations resolved.

    Raises:
        UserError: If a key is unknown or missing, or a value has the wrong type, naming the key.
    """
    try:
        settings = OmegaConf.merge(OmegaConf.structured(schema), cfg)
        return OmegaConf.to_object(settings)  # type: ignore[return-value]  # a structured node gives its class
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        what = str(error).splitlines()[0]
        raise UserError(f"configuration: {key}{what}. `--cfg job` shows the keys and values") from error
