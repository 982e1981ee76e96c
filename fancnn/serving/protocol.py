"""HTTP on a connection, as uvicorn reads it, with bounds on what comes before a request is a request."""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 65_536  # of a request's line and headers
SECONDS = 10.0  # until they are there
LINGER_SECONDS = 2.0  # what a refused client still sends is passed over: to hang up would lose the answer


class BoundedHeaders(HttpToolsProtocol):
    """Refuses headers that are too long, or too slow: uvicorn would keep them all, however many there are."""

    _come = 0
    _refused = False
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()
        super().data_received(data)
        if self._waiting is not None:  # still: it was all of headers, and not of a body behind them
            self._come += len(data)
            if self._come > MOST_BYTES:
                self._refuse(431, f"headers of more than {MOST_BYTES:,} bytes")

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        super().on_headers_complete()

    def _await_headers(self) -> None:
        self._come = 0
        self._waiting = self.loop.call_later(SECONDS, self._refuse, 408, f"no request came within {SECONDS:g} s")

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None

    def _refuse(self, status: int, reason: str) -> None:
        self._wait_no_more()
        if self.transport.is_closing():
            return
        body = json.dumps({"reason": reason})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        self.transport.write_eof()
        self._refused = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
