"""Record files: reads records of CSV and JSON lines, also gzip, from any position at the edge of a record.

Must not know tasks, Redis or SQL.
"""

from tasks_app.record_files.encodings import ENCODINGS
from tasks_app.record_files.errors import HeaderRefused, RecordFileError, UnreadableFile
from tasks_app.record_files.header import Columns
from tasks_app.record_files.positions import FIRST, Position
from tasks_app.record_files.record_file import CSV, DELIMITERS, FORMATS, ReadOptions, RecordFile, RecordIndex
from tasks_app.record_files.records import MOST_RECORD_BYTES, Fault, Record

__all__ = [
    "CSV",
    "DELIMITERS",
    "ENCODINGS",
    "FIRST",
    "FORMATS",
    "MOST_RECORD_BYTES",
    "Columns",
    "Fault",
    "HeaderRefused",
    "Position",
    "ReadOptions",
    "Record",
    "RecordFile",
    "RecordFileError",
    "RecordIndex",
    "UnreadableFile",
]
