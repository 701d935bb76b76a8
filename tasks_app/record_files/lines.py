"""The lines of a file as bytes, from any position at the beginning of a line, in bounded memory.

Owns where a line ends, and the errors and bounds of gzip. Must not decode records, nor know formats.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final, cast

from tasks_app.record_files.encodings import Coding
from tasks_app.record_files.errors import UnreadableFile
from tasks_app.record_files.positions import Position

BLOCK_BYTES: Final = 128 * 1024
MOST_SILENT_BYTES: Final = 1024 * 1024  # of gzip data from which no text comes
_GZIP: Final = b"\x1f\x8b"


class _NoText(Exception):
    """Much gzip data was read, and no text came from it."""


class _PackedText(gzip.GzipFile):
    """The text of a gzip file. Reads no more than MOST_SILENT_BYTES that yield no text: empty members, zeros behind one."""

    def __init__(self, file: BinaryIO) -> None:
        self._packed = _Packed(file)
        super().__init__(fileobj=cast(Any, self._packed), mode="rb")

    def read1(self, size: int = -1) -> bytes:
        text = super().read1(size)
        self._packed.silent_bytes = 0
        return text


class _Packed:
    """What GzipFile needs of a file; counts the bytes that it reads."""

    def __init__(self, file: BinaryIO) -> None:
        self.silent_bytes = 0
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.silent_bytes += len(data)
        if self.silent_bytes > MOST_SILENT_BYTES:
            raise _NoText
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)


def open_text(file: BinaryIO) -> BinaryIO:
    """Return the file itself, or its uncompressed text if its first bytes are those of gzip."""
    file.seek(0)
    is_gzip = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return cast(BinaryIO, _PackedText(file)) if is_gzip else file


def read_head(text: BinaryIO, size: int) -> bytes:
    """Return the first bytes of the text. Raises UnreadableFile."""
    text.seek(0)
    head = b""
    while len(head) < size and (more := _read(text, size - len(head), Position(0, 1))):
        head += more
    return head


def read_lines(
    text: BinaryIO, *, position: Position, coding: Coding, most_bytes: int, only_lf: bool = False
) -> Iterator[bytes]:
    """Yield each line with its line break: LF, CRLF or CR; `only_lf`: LF.

    A line of more than `most_bytes` is yielded in part, with more than `most_bytes`, and is the last one. Raises
    UnreadableFile for damaged or cut gzip data, and if the file ends before the position.
    """
    _seek(text, position)
    split = _choose_split(coding, only_lf=only_lf)
    width = 2 if coding.is_wide else 1
    line_feed = "\n".encode(coding.codec)
    rest, line = b"", position.line
    while block := _read(text, BLOCK_BYTES, Position(position.offset, line)):
        data = rest + block
        odd = len(data) % width
        lines = split(data[:-odd] if odd else data)
        rest = data[-odd:] if odd else b""
        # The last one may continue in the next block: it has no line break, or a CR that an LF may follow.
        if lines and not lines[-1].endswith(line_feed):
            rest = lines.pop() + rest
        line += len(lines)
        yield from lines
        if len(rest) > most_bytes:
            yield rest
            return
    if rest:
        yield from _split_last(rest, split, width)


def _split_last(rest: bytes, split: Callable[[bytes], list[bytes]], width: int) -> list[bytes]:
    odd = len(rest) % width
    lines = split(rest[:-odd] if odd else rest)
    if odd:  # half a character: the reader refuses it
        lines.append((lines.pop() if lines else b"") + rest[-odd:])
    return lines


def _choose_split(coding: Coding, *, only_lf: bool) -> Callable[[bytes], list[bytes]]:
    if not coding.is_wide:
        return _split_at_lf if only_lf else (lambda data: data.splitlines(keepends=True))
    codec, newline = coding.codec, "\n" if only_lf else ""

    def split(data: bytes) -> list[bytes]:
        # Lone surrogates survive this; the reader refuses them.
        decoded = io.StringIO(data.decode(codec, "surrogatepass"), newline=newline)
        return [line.encode(codec, "surrogatepass") for line in decoded]

    return split


def _split_at_lf(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    last = lines.pop()
    lines = [line + b"\n" for line in lines]
    return [*lines, last] if last else lines


def _seek(text: BinaryIO, position: Position) -> None:
    if isinstance(text, _PackedText):
        end = text.seek(0)
        while end < position.offset and (passed := _read(text, min(BLOCK_BYTES, position.offset - end), position)):
            end += len(passed)
    else:
        end = min(text.seek(0, io.SEEK_END), position.offset)
        text.seek(position.offset)
    if end < position.offset:
        raise UnreadableFile(
            f"the file ends at byte {end}: it has changed since it was read up to here",
            line=position.line,
            byte=position.offset,
        )


def _read(text: BinaryIO, size: int, position: Position) -> bytes:
    try:
        # read1 returns what precedes the damage; read would lose a part of it.
        return text.read1(size) if isinstance(text, _PackedText) else text.read(size)
    except (_NoText, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(error, position) from error


def _damaged(error: Exception, position: Position) -> UnreadableFile:
    what = f"the gzip data is damaged ({error})"
    if isinstance(error, EOFError):
        what = "the gzip data ends too early"
    elif isinstance(error, _NoText):
        what = f"{MOST_SILENT_BYTES} bytes of gzip data hold no text"
    return UnreadableFile(f"{what}, in or after this line", line=position.line)
