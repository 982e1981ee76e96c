"""The body of a request to files: raw or multipart, bounded in bytes, in files and in time, and never on the disk."""

import asyncio

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from fancnn.serving.admission import Refused
from fancnn.serving.inspector import File

LONGEST_NAME = 200
FORM, BYTES = "multipart/form-data", "application/octet-stream"


async def files_of(request: Request, most_bytes: int, most_files: int, seconds: float) -> list[File]:
    """Read the files of a request.

    Args:
        request: With `multipart/form-data`, or a content type `image/...` or `application/octet-stream` and the file
            itself as the body.
        most_bytes: Of the whole body.
        most_files: In a form.
        seconds: In which the last byte must have come.

    Raises:
        Refused: 413 for too many bytes or files, 408 for too slow, 415 for another content type, 400 for a damaged
            form, 422 for one without files.
    """
    limited = _limited(request, most_bytes)
    kind = request.headers.get("content-type", BYTES).partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(seconds):
            if kind == FORM:
                return await _form_files(limited, most_bytes, most_files)
            if kind == BYTES or kind.startswith("image/"):
                return [File("", await limited.body())]
    except TimeoutError:
        raise Refused(408, f"the body did not come within {seconds:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the body was cut off") from None
    raise Refused(415, f"content type {kind[:80]!r}: expected {FORM}, {BYTES} or image/jpeg and its like")


def _limited(request: Request, most_bytes: int) -> Request:
    """The same request, which refuses to be longer."""
    said = request.headers.get("content-length", "0")
    too_long = Refused(413, f"a body of more than {most_bytes:,} bytes")
    if said.isdigit() and int(said) > most_bytes:
        raise too_long
    come = 0

    async def receive() -> Message:
        nonlocal come
        message = await request.receive()
        come += len(message.get("body", b""))
        if come > most_bytes:
            raise too_long
        return message

    return Request(request.scope, receive)


async def _form_files(request: Request, most_bytes: int, most_files: int) -> list[File]:
    parser = MultiPartParser(request.headers, request.stream(), max_files=most_files, max_fields=most_files)
    parser.spool_max_size = most_bytes  # in memory, where it is small enough to be taken at all
    try:
        return await _files_in(parser, most_files)
    finally:
        for file in parser._files_to_close_on_error:  # also of parts that were cut off: these are in no form
            file.close()


async def _files_in(parser: MultiPartParser, most_files: int) -> list[File]:
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise Refused(413, f"{error.message} At most {most_files} files are taken at once") from None
        raise Refused(400, error.message) from None
    except (KeyError, UnicodeError, ValueError) as error:
        raise Refused(400, f"no {FORM}: {type(error).__name__} in its headers") from None
    sent = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not sent:
        raise Refused(422, "a form without files: expected at least one, in a field such as `files`")
    return [File((upload.filename or "")[:LONGEST_NAME], await upload.read()) for upload in sent]
