"""Forms (`multipart/form-data`, RFC 7578) that are whole: each part complete, the closing boundary there, no more.

A lenient reader takes what it finds: of a form that was cut inside its second file it gives one file, and the client
would read one decision for two images. Here a form is read as one piece of bytes or refused.
"""

import re

from python_multipart.multipart import parse_options_header

from fancnn.serve.inspector import File
from fancnn.serve.request_validation import Refused

FORM = "multipart/form-data"
LONGEST_NAME = 200
LONGEST_HEADERS = 8_192  # of a part; those of a request are bounded where they are received
BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
OPENING = re.compile(rb"[ \t]*\r\n")  # what may stand between a boundary and the headers behind it
SINGLE = ("content-disposition", "content-type")


def files_of_form(body: bytes, content_type: str, most_files: int) -> list[File]:
    """Take a form apart.

    Args:
        body: All of it.
        content_type: The header of the request, with the boundary.
        most_files: In a form.

    Raises:
        Refused: 400 unless the form is whole, 413 for too many files, 422 where there is none, or a part is no file.
    """
    delimiter = b"\r\n--" + _boundary(content_type)
    before, *parts = (b"\r\n" + body).split(delimiter, most_files + 1)
    if before or not parts:
        raise _damaged("it does not begin with its boundary")
    if len(parts) > most_files and OPENING.match(parts[-1]):
        raise Refused(413, f"Too many files: at most {most_files} are taken at once")
    *parts, end = parts
    if not end.startswith(b"--"):
        raise _damaged("cut off, its closing boundary is missing")
    if end[2:].strip(b" \t\r\n"):
        raise _damaged("there are bytes behind the closing boundary")
    if not parts:
        raise Refused(422, "a form without files: expected at least one, in a field such as `files`")
    return [_file(part, place) for place, part in enumerate(parts, start=1)]


def _boundary(content_type: str) -> bytes:
    boundary = _options(content_type.encode("latin-1")).get(b"boundary")
    if boundary is None:
        raise Refused(400, f"no {FORM}: its content type names no boundary")
    if not BOUNDARY.fullmatch(boundary):
        raise Refused(400, f"no {FORM}: its boundary should have 1 to 70 letters, as RFC 2046 has them")
    return boundary


def _file(part: bytes, place: int) -> File:
    """Return the file of a part: what stands between two boundaries."""
    opening = OPENING.match(part)
    if not opening:
        raise _damaged(f"part {place}: expected a new line after the boundary")
    # the new line is shared where a part has no headers
    head, separator, content = part[opening.end() - 2 :].partition(b"\r\n\r\n")
    if not separator or len(head) > LONGEST_HEADERS:
        raise _damaged(f"part {place}: its headers do not end, or have more than {LONGEST_HEADERS:,} bytes")
    headers = _headers(head, place)
    disposition = headers.get("content-disposition", b"")
    options = _options(disposition)
    if disposition.partition(b";")[0].strip().lower() != b"form-data" or b"name" not in options:
        raise _damaged(f"part {place}: expected the header `Content-Disposition: form-data; name=...`")
    if b"filename" not in options:
        raise Refused(
            422, f"part {place} of the form has no filename: expected files only, each decided, and no other fields"
        )
    return File(options[b"filename"].decode("utf-8", "replace")[:LONGEST_NAME], content)


def _headers(head: bytes, place: int) -> dict[str, bytes]:
    """Return the headers by their names in small letters; those that say what a part is may stand once."""
    headers: dict[str, bytes] = {}
    for line in filter(None, head.split(b"\r\n")):
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        if not colon or not key or key != key.strip():
            raise _damaged(f"part {place}: one of its headers is no `Name: value`")
        if key in headers and key in SINGLE:
            raise _damaged(f"part {place}: it has the header {key} twice")
        headers[key] = value.strip()
    return headers


def _options(header: bytes) -> dict[bytes, bytes]:
    return parse_options_header(header)[1] if len(header) <= LONGEST_HEADERS else {}


def _damaged(reason: str) -> Refused:
    return Refused(400, f"a damaged form: {reason}. Nothing of it was decided")
