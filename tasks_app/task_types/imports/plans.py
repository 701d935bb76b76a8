"""The plan of an import: how many records its file has, and the parts that workers can read at the same time.

Owns the pass over the file before the first chunk. Must not write anything.
"""

from __future__ import annotations

import math
from typing import Final

from tasks_app.record_files import RecordFile
from tasks_app.task_types.task_plans import PARTS, Part, Plan

GZIP_PARTS: Final = 16  # of a compressed file: a worker decompresses all the text before its part
MOST_COUNTED_BYTES: Final = 1024**3  # of uncompressed text; the count of so much takes some seconds


def plan_import(file: RecordFile, *, shard_records: int, most_bytes: int = MOST_COUNTED_BYTES) -> Plan:
    """Count the records of a file, and split it into parts of `shard_records` records; 0: into none.

    A file of more than `most_bytes` is not split, and its total is estimated; in gzip it is what was counted. Reads the
    file once.
    """
    every = shard_records or 2**62
    index = file.index(every=every, most_bytes=most_bytes)
    if not index.is_complete:
        scale = file.size / index.end.offset if file.size and index.end.offset else 1
        return Plan(math.ceil(index.records * scale), is_estimate=True)
    step = math.ceil(len(index.positions) / (GZIP_PARTS if file.size is None else PARTS))
    begins = index.positions[::step]
    if len(begins) < 2:
        return Plan(index.records)
    parts = []
    for number, begin in enumerate(begins):
        is_last = number == len(begins) - 1
        size = index.records - number * step * every if is_last else step * every
        end = {} if is_last else {"end": begins[number + 1].offset}
        parts.append(Part(begin.as_state() | end, size))
    return Plan(index.records, parts=tuple(parts))
