"""The file that this process reads for an import, open between two chunks.

So consecutive chunks neither open nor seek, and a chunk that is repeated, or halved, reads no bytes again. Owns the one open
file of the process. Must not validate records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tasks_app.record_files import CSV, Position, Record, RecordFile, UnreadableFile


class Batch(NamedTuple):
    """Consecutive records; `has_ended`: none follow; `is_text`: their values are the texts of a CSV file."""

    records: list[Record]
    has_ended: bool
    is_text: bool


class OpenImport:
    """One open file of records, read from a position on. Not for threads."""

    def __init__(self, file: BinaryIO, records: RecordFile) -> None:
        self.records = records
        self._file = file
        self._at: Position | None = None  # before the first record of `_read`
        self._read: list[Record] = []
        self._rest: Iterator[Record] = iter(())
        self._error: UnreadableFile | None = None
        self._has_ended = False

    def take(self, position: Position, *, most_records: int, most_bytes: int, end: int | None) -> Batch:
        """Return the next records: at least one, if there is one and `most_records` allows it.

        Ends at `most_bytes` from the position, and at the offset `end`. Raises UnreadableFile if the place is the next.
        """
        if not self._drop_until(position):
            self._at, self._read, self._error, self._has_ended = position, [], None, False
            self._rest = self.records.read(position)
        taken, at = 0, position.offset
        has_ended = end is not None and at >= end
        while not has_ended and taken < most_records and at - position.offset < most_bytes:
            if taken == len(self._read) and not self._read_one():
                if self._error is not None and not taken:
                    raise self._error
                has_ended = self._error is None
                break
            at = self._read[taken].next.offset
            taken += 1
            has_ended = end is not None and at >= end
        return Batch(self._read[:taken], has_ended, self.records.format == CSV)

    def close(self) -> None:
        self._file.close()

    def _read_one(self) -> bool:
        if self._has_ended or self._error is not None:
            return False
        try:
            record = next(self._rest, None)
        except UnreadableFile as error:
            self._error = error
            return False
        if record is None:
            self._has_ended = True
            return False
        self._read.append(record)
        return True

    def _drop_until(self, position: Position) -> bool:
        """Forget the records before a position. False: it is not among those that were read."""
        if position == self._at:
            return True
        for index, record in enumerate(self._read):
            if record.next == position:
                self._at, self._read = position, self._read[index + 1 :]
                return True
        return False


class _Held:
    """The one open file of this process."""

    def __init__(self) -> None:
        self.key: object = None
        self.file: OpenImport | None = None


_held = _Held()


def get_held(key: object) -> OpenImport | None:
    """Return the file that is open under this key."""
    return _held.file if _held.key == key else None


def hold(key: object, file: OpenImport | None) -> None:
    """Keep a file open for the next chunk, instead of the one before; None closes that one."""
    if _held.file is not None and _held.file is not file:
        _held.file.close()
    _held.key, _held.file = key, file
