"""What Ctrl-C (SIGINT) and SIGTERM do to a command: it ends with 130 or 143, in whatever moment they come.

Before the work begins nothing is half-written, and the process ends at once. After that an exception unwinds what is
under way, so that half-written files are removed. A library may lose that exception, or make another one of it:
`exit_code` remembers the signal. What must not be cut, such as a file that torch writes from C++, stands in `uncut`.

The standard library alone: commands import this before anything that takes time.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []
_waiting: list[int] = []  # came in a block that is not cut
_state = {"works": False, "uncut": 0}


def is_command() -> bool:
    """Return whether the program is one of our commands, and not one that calls us."""
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None) or Path(sys.argv[0]).name
    return name.startswith(("fancnn.", "fancnn-"))


def install() -> None:
    """Take both signals, unless whoever started the program has them ignored, as `nohup` and shells do."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def work_begins() -> None:
    """Mark that from here on there is something to unwind."""
    _state["works"] = True


def exit_code() -> int | None:
    """Return what the program ends with since a signal came; None if none did."""
    return 128 + _received[0] if _received else None


def heeded() -> None:
    """Say that the signals so far did what they are for, as where a server is stopped: it ends with 0."""
    _received.clear()


@contextmanager
def uncut() -> Iterator[None]:
    """Let a block end before a signal that comes in it is heeded; a second one cuts it all the same."""
    _state["uncut"] += 1
    try:
        yield
    finally:
        _state["uncut"] -= 1
        if _waiting and not _state["uncut"]:
            _unwind(_waiting.pop())


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if not _state["works"]:
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        os._exit(128 + number)
    if _state["uncut"] and len(_received) == 1:
        _waiting.append(number)
        return
    _unwind(number)


def _unwind(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
