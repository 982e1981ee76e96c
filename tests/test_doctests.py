import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import fancnn

MODULES = sorted(module.name for module in pkgutil.walk_packages(fancnn.__path__, "fancnn."))


@pytest.mark.parametrize("name", ["fancnn", *MODULES])
def test_the_examples_in_docstrings_are_true(name: str, trained_run: Path) -> None:
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs={"run": trained_run}, optionflags=flags)
    assert result.failed == 0
