"""The body of a request to files: raw or a form, bounded in bytes and in files, and never on the disk."""

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fancnn.serve.inspector import File
from fancnn.serve.multipart_forms import FORM, files_of_form
from fancnn.serve.request_validation import Refused

BYTES = "application/octet-stream"
LINGER_SECONDS = 2.0  # what a refused client still sends is passed over: to hang up would lose the answer


def content_type_of(request: Request, most_bytes: int) -> str:
    """Return the content type of a request that may be read; nothing of its body is awaited.

    Args:
        request: With `multipart/form-data`, or a content type `image/...` or `application/octet-stream` and the file
            itself as the body.
        most_bytes: Of the body, where its length is stated.

    Raises:
        Refused: 415 for another content type, 413 for too many bytes, 400 for two content types.
    """
    stated = request.headers.getlist("content-type") or [BYTES]
    if len(stated) > 1:
        raise Refused(400, "two content types: expected one")
    kind = _kind(stated[0])
    if kind not in (FORM, BYTES) and not kind.startswith("image/"):
        raise Refused(415, f"content type {kind[:80]!r}: expected {FORM}, {BYTES} or image/jpeg and its like")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most_bytes:
        raise _too_long(most_bytes)
    return stated[0]


async def body_of(request: Request, most_bytes: int) -> bytes:
    """Read the body of a request.

    Raises:
        Refused: 413 for too many bytes, 400 where it was cut off.
    """
    body = bytearray()
    try:
        async for piece in request.stream():
            if len(body) + len(piece) > most_bytes:
                raise _too_long(most_bytes)
            body += piece
    except ClientDisconnect:
        raise Refused(400, "the body was cut off") from None
    return bytes(body)


def files_of(body: bytes, content_type: str, most_files: int) -> list[File]:
    """Take the files out of a body that `body_of` read.

    Raises:
        Refused: 400 for a damaged form, 413 for too many files, 422 where there is none, or a part of it is no file.
    """
    if _kind(content_type) == FORM:
        return files_of_form(body, content_type, most_files)
    return [File("", body)]


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _too_long(most_bytes: int) -> Refused:
    return Refused(413, f"a body of more than {most_bytes:,} bytes; a larger limits.megabytes allows it")


class DrainBody:
    """Answers at once, and then passes over what still comes of a body that was not read to its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ended = False

        async def read() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)  # the last piece, or the client has gone
            return message

        async def answer(message: Message) -> None:
            if ended or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while not ended:
                        await read()
            await send({"type": "http.response.body", "body": b""})

        await self.app(scope, read, answer)
