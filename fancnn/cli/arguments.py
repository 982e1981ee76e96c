"""A command line's arguments as Hydra takes them: lists without a key, and keys under the names that people say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fancnn.errors import quoted


def with_listed(arguments: Sequence[str], key: str) -> list[str]:
    """Command-line arguments with those that have no key as one override of `key`, a list.

    Example:
        >>> with_listed(["runs/a b", "part=val", "runs/[c]"], "runs")
        ['part=val', 'runs=["runs/a b","runs/[c]"]']
    """
    items: list[str] = []
    kept: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        keyed = argument.startswith(("-", "+")) or ("=" in argument and not Path(argument).exists())
        (kept if keyed or before in _FLAGS_WITH_VALUES else items).append(argument)
    return [*kept, f"{key}=[{','.join(map(quoted, items))}]"] if items else kept


def with_keys(arguments: Sequence[str], said: Mapping[str, str]) -> list[str]:
    """Command-line arguments with the keys of the configuration in the place of what they are called there.

    Example:
        >>> with_keys(["model=a.onnx", "input=model=b"], {"model": "model_file"})
        ['model_file=a.onnx', 'input=model=b']
    """
    parts = [argument.partition("=") for argument in arguments]
    return [f"{said.get(key, key) if equals else key}{equals}{value}" for key, equals, value in parts]


_FLAGS_WITH_VALUES = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
)


def in_words(text: str, said: Mapping[str, str]) -> str:
    r"""The keys of a listing of the configuration as they are said on the command line.

    Example:
        >>> in_words("run: null\nmodel_file: ???\n", {"model": "model_file"})
        'run: null\nmodel: ???\n'
    """
    for word, key in said.items():
        text = re.sub(rf"^{key}:", f"{word}:", text, flags=re.MULTILINE)
    return text
