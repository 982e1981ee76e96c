"""What libraries print of the server: each on one line, as text, and not once for each request of a client."""

import logging
import time
import traceback
from collections.abc import Callable

from fancnn.system.console import printable

LOGGERS = ("uvicorn.error", "asyncio")
SECONDS = 60.0  # in which what was printed is counted, and not printed again


class RepeatFilter:
    """Lets a message pass once in a while, with the number of those like it since; a filter of `logging`.

    Args:
        clock: Seconds from some moment on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._printed: dict[tuple[str, ...], float] = {}
        self._passed_over: dict[tuple[str, ...], int] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be printed; what it says is made a line of text.

        The same message is one from the same place of the code: what a client can put into it makes no other.
        """
        first_line = str(record.msg).partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__)[-1:] if error else []
        same = (record.name, first_line, type(error).__name__, *(f"{one.filename}:{one.lineno}" for one in frames))
        now = self._clock()
        if now - self._printed.get(same, -SECONDS) < SECONDS:
            self._passed_over[same] = self._passed_over.get(same, 0) + 1
            return False
        self._printed[same] = now
        passed_over = self._passed_over.pop(same, 0)
        text = printable(record.getMessage().strip())
        record.msg = f"{text} ({passed_over} more like it were not printed)" if passed_over else text
        record.args = ()
        if error:
            lines = "".join(traceback.format_exception(error)).splitlines()
            record.exc_text = "\n".join(map(printable, lines))
        return True


def limit_logs() -> None:
    """Bound what the libraries of a server print."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(RepeatFilter())
