"""Whether a file is what was written: a seal over all of its bytes, and the checksums inside an archive.

A seal is the text `fancnn-sha256:` and the 64 hexadecimal digits of a SHA-256, where the format of a file has a place
for texts of one's own. It is taken over all bytes of the file, with zeros in the place of these digits, so that no bit
can change without being noticed. Where a second file belongs to it, that is sealed with it.

| file | where its seal is |
| --- | --- |
| checkpoint, `.pt2` | the comment at the end of the zip archive |
| `.onnx` | the metadata property `fancnn_seal` |
| OpenVINO's `.xml`, with its `.bin` | `rt_info/fancnn_seal` |

It tells damage, and is no signature: whoever changes a file on purpose can seal it again.
"""

import hashlib
import re
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

MARK = b"fancnn-sha256:"
DIGITS = 64
BLANK = MARK + b"0" * DIGITS  # what a writer puts there, for `seal` to fill in
_DIGITS = re.compile(rb"[0-9a-f]{%d}" % DIGITS)
_END_MARK, _END_SIZE = b"PK\5\6", 22  # of the record that ends a zip archive, the length of its comment in its last two

Content = bytes | mmap


class NotAsWrittenError(ValueError):
    """Bytes that are not those that were written."""


def seal(path: Path, *beside: Path) -> None:
    """Fill in the seal of a file that has `BLANK` once.

    Args:
        path: Of the file.
        beside: Files that belong to it.

    Raises:
        ValueError: If it has no blank seal, or several.
    """
    with contents_of(path, *beside) as contents:
        if (count := len(re.findall(re.escape(MARK), contents[0]))) != 1:
            raise ValueError(f"{path} has {count} places for a seal, expected 1")
        at = contents[0].find(BLANK) + len(MARK)
        digits = _digest(contents, at)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(digits)


def is_sealed(*contents: Content) -> bool:
    """Verify the seal of a file and of those that belong to it.

    Args:
        contents: Of the file itself first, then of those beside it.

    Returns:
        Whether it has one; files of before have none.

    Raises:
        NotAsWrittenError: If what it seals has changed.
    """
    at = contents[0].find(MARK)
    if at < 0:
        return False
    _verify(contents, at + len(MARK))
    return True


def seal_archive(file: BinaryIO) -> None:
    """Seal a zip archive without a comment, which is open for reading and writing."""
    file.seek(-2, 2)
    file.write(struct.pack("<H", len(BLANK)) + BLANK)
    file.flush()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        at = len(content) - DIGITS
        digits = _digest([content], at)
    file.seek(at)
    file.write(digits)


def validate_archive(file: BinaryIO) -> bool:
    """Verify the seal of a zip archive, if it has one, and the checksum of every member.

    Args:
        file: Open for reading; where it stands after that is undefined.

    Returns:
        Whether it has a seal.

    Raises:
        NotAsWrittenError: If a bit has changed since it was written.
        zipfile.BadZipFile: If it is no zip archive.
        ValueError: If it holds more than its size, as no file of torch does.
    """
    size = file.seek(0, 2)
    if size < _END_SIZE:
        raise zipfile.BadZipFile("it is too short")
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        sealed = _validate_comment(content)
    _validate_members(file, size)
    return sealed


def _validate_comment(content: mmap) -> bool:
    at = content.rfind(_END_MARK)
    if at < 0 or len(content) - at < _END_SIZE:
        raise zipfile.BadZipFile("its end is missing")
    comment = content[at + _END_SIZE :]
    (declared,) = struct.unpack("<H", content[at + _END_SIZE - 2 : at + _END_SIZE])
    if declared != len(comment) or (comment and not (comment.startswith(MARK) and len(comment) == len(BLANK))):
        raise NotAsWrittenError("its end is not as it was written")
    if comment:
        _verify([content], len(content) - DIGITS)
    return bool(comment)


def _validate_members(file: BinaryIO, size: int) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = {item.filename for item in members}
            stored = all(item.compress_type == zipfile.ZIP_STORED for item in members)
            if not stored or len(names) < len(members) or sum(item.file_size for item in members) > size:
                raise ValueError("it declares more than it holds")
            for item in members:
                with archive.open(item) as member:  # raises BadZipFile where the checksum is another
                    while member.read(2**20):
                        pass
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            raise NotAsWrittenError(f"the checksum of {str(error).rpartition(' ')[2]} in it is another") from error
        raise
    except (EOFError, NotImplementedError, RuntimeError, struct.error) as error:  # of headers that make no sense
        raise zipfile.BadZipFile(str(error)) from error


def _verify(contents: Sequence[Content], at: int) -> None:
    digits = contents[0][at : at + DIGITS]
    if not _DIGITS.fullmatch(digits) or digits != _digest(contents, at):
        raise NotAsWrittenError("its bytes are not those that were written")


def _digest(contents: Sequence[Content], at: int) -> bytes:
    """Return SHA-256 over lengths and bytes, with zeros for the digits at `at` in the first."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(f"{len(content)}\n".encode())
        with memoryview(content) as view:
            start = 0
            if content is contents[0]:
                _update(digest, view[:at])
                digest.update(b"0" * DIGITS)
                start = at + DIGITS
            _update(digest, view[start:])
    return digest.hexdigest().encode()


def _update(digest: "hashlib._Hash", view: memoryview) -> None:
    with view:
        digest.update(view)


@contextmanager
def contents_of(*paths: Path) -> Iterator[list[Content]]:
    """Give the contents of files without reading them into memory.

    Raises:
        OSError: If one cannot be read.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        yield [
            stack.enter_context(mmap(file.fileno(), 0, access=ACCESS_READ)) if file.seek(0, 2) else b""
            for file in files
        ]
