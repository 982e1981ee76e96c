"""HTTP on a connection, as uvicorn reads it, with bounds on what a client may keep open or unread.

uvicorn's own options bound neither headers nor connections: with httptools it keeps headers of any length, waits for a
first request for ever, and accepts connections until no file can be opened any more. A reverse proxy in front bounds
all that; this is for the server without one, which is what starts when nothing is configured.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fancnn.serve.connections import Connections
from fancnn.serve.request_parsing import LINGER_SECONDS

MOST_BYTES = 65_536  # of a request's line and headers, and of what comes with a body and is none of it
SECONDS = 10.0  # until they are there, and until a client has taken what it is sent


class BoundedConnection(HttpToolsProtocol):
    """Refuses headers that are too long, or too slow, and is one of `connections`.

    Args:
        connections: Those of the server.
        arguments: As uvicorn gives them.
    """

    def __init__(self, *arguments: Any, connections: Connections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._neighbors = connections
        self._address = ""
        self._overhead = 0  # bytes of a request that are none of its body
        self._body = 0
        self._refused = False
        self._waiting: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is lost where it is closed: no request is read or worked on."""
        return self.cycle is None or self.cycle.response_started

    def give_way(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if self._neighbors.add(self, self._address):
            self._await_headers()
        else:
            self._answer(503, "too many connections are open; try again later")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._neighbors.remove(self, self._address)
        self._wait_no_more()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()
        body = self._body
        super().data_received(data)
        self._overhead += len(data) - (self._body - body)
        if self._waiting is not None:  # still: it was all of headers, and not of a body behind them
            if self._overhead > MOST_BYTES:
                self._refuse(431, f"headers of more than {MOST_BYTES:,} bytes")
        elif self._overhead > MOST_BYTES + self._body:  # extensions of chunks, or headers behind them
            self.give_way()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(400, msg)
        else:  # inside a body, where the application still is to answer
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._neighbors.move_last(self, self._address)
        if self.cycle.response_complete and self.cycle.more_body:  # where the next request begins is not known
            self.transport.close()

    def pause_writing(self) -> None:
        self._sending = self.loop.call_later(SECONDS, self.give_way)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._sending = None
        super().resume_writing()

    def _await_headers(self) -> None:
        self._overhead = self._body = 0
        self._waiting = self.loop.call_later(SECONDS, self._refuse, 408, f"no request came within {SECONDS:g} s")

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None

    def _refuse(self, status: int, reason: str) -> None:
        self._wait_no_more()
        if self.transport.is_closing():
            return
        self._answer(status, reason)
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _answer(self, status: int, reason: str) -> None:
        body = json.dumps({"reason": reason})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        self._refused = True
