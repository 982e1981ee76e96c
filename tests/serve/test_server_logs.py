"""What libraries print, for a person who reads it on a terminal."""

import logging
from pathlib import Path

import pytest

from fancnn.serve.server_logs import RepeatFilter
from fancnn.system.console import printable


def test_a_message_is_printed_once_in_a_while_with_the_number_of_those_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    logger = logging.Logger("server")
    logger.addFilter(RepeatFilter(lambda: now[0]))
    logger.addHandler(caplog.handler)
    for number in range(1000):
        logger.warning("refused %s", f"{number}\x1b[2J\nGO")
    for number in range(3):
        logger.warning(f"another\nof {number}")
    now[0] = 61.0
    logger.warning("refused %s", "x")
    assert caplog.messages == [
        "refused 0\\x1b[2J\\nGO",
        r"another\nof 0",
        "refused x (999 more like it were not printed)",
    ]


def test_each_fault_has_one_traceback_without_what_a_terminal_obeys(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.Logger("server")
    logger.addFilter(RepeatFilter())
    logger.addHandler(caplog.handler)
    for fault in ("a\x1b[31m\nb", "another client"):
        try:
            raise ValueError(fault)
        except ValueError as error:
            logger.error("Exception in ASGI application\n", exc_info=error)
    (record,) = caplog.records
    text = caplog.handler.format(record)
    assert text.count("Traceback") == 1
    assert Path(__file__).name in text
    assert "\x1b" not in text
    assert "a\\x1b[31m" in text


@pytest.mark.parametrize("text", ["Teil 7 (größer).png", "部品.png", "a b"])
def test_ordinary_names_are_printed_as_they_are(text: str) -> None:
    assert printable(text) == text
