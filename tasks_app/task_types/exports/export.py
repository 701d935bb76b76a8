"""The base class of exports: a QuerySet becomes one file, an artifact of the task.

Owns the two phases. Each chunk stores a page of rows as a part, whose row commits with the cursor; a part whose chunk did
not commit is no part. When all rows are read, the parts are joined, and the artifact commits with the last chunk. Must not
read pages in another way than collections do.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Final

from django.db.models import QuerySet

from tasks_app.errors import HopelessError
from tasks_app.files.task_files import StoredFile, drop_parts, keep_files, read_parts, write_file
from tasks_app.models import TaskFile
from tasks_app.task_types.collections.collection_task import AFTER, UP_TO, CollectionTask
from tasks_app.task_types.collections.cursor_keys import CursorKey
from tasks_app.task_types.collections.key_splits import select_range
from tasks_app.task_types.exports.columns import find_column_faults, list_columns
from tasks_app.task_types.exports.row_formats import (
    CONTENT_TYPES,
    CSV,
    GZIP,
    compress,
    format_header,
    format_rows,
)
from tasks_app.task_types.task_plans import Part, Plan
from tasks_app.task_types.task_type import Chunk, ChunkResult, write_artifact

SHARD: Final = "shard"  # in the state: which range of the key this is, from 0 on
ROWS: Final = "rows"  # of this range that were written
IS_READ: Final = "isRead"  # all rows of all ranges were written: the parts are joined next
SHARD_ROWS: Final = 2**40  # the positions of a shard's parts; no shard has as many rows


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows that was stored as a part; without rows, no part."""

    rows: int
    part: StoredFile | None
    state: dict[str, Any]
    is_last: bool  # of its range


class Export(CollectionTask):
    """Writes the rows of `collection` to a file, in the order of the key. Implement `collection`.

    It has the rows that exist from its first chunk to their page: rows that are inserted behind the last key do not
    appear, rows that change or vanish meanwhile appear as their page finds them. The last chunk reads all parts and
    writes the file; it must end within the chunk's time limit.
    """

    count_names = ("rows",)
    leaves_results = True
    isolates_failures = False  # a file that lacks rows would look complete
    supports_dry_run = False  # its files are written outside of the transaction
    first_limit = 2_000
    max_limit = 20_000
    file_format: ClassVar[str] = CSV  # or JSON_LINES
    is_compressed: ClassVar[bool] = False  # as gzip
    columns: ClassVar[Sequence[str]] = ()  # names for values_list(), also of annotations; empty: all of the model's
    file_name: ClassVar[str] = ""  # empty: the type's name
    # In CSV, put an apostrophe before texts that a spreadsheet would run as a formula.
    neutralises_formulas: ClassVar[bool] = True

    def get_file_name(self, params: Mapping[str, Any]) -> str:
        """Return the name of the file."""
        return self.file_name or f"{self.name}.{self.file_format}{'.gz' if self.is_compressed else ''}"

    def list_faults(self, rows: object) -> list[str]:
        """Return what is wrong with the collection or the columns."""
        faults = super().list_faults(rows)
        return faults if faults or not isinstance(rows, QuerySet) else find_column_faults(rows, self.columns)

    def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Plan:
        """Return the plan of the collection, whose states also have the place of their parts in the file."""
        plan = super().make_plan(task_id=task_id, params=params, shard_records=shard_records)
        parts = [Part({**part.state, SHARD: number, ROWS: 0}, part.size) for number, part in enumerate(plan.parts)]
        return replace(plan, state={**plan.state, SHARD: 0, ROWS: 0}, parts=parts)

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> list[Page | StoredFile]:
        """Store the next page of each task, or join its parts: outside of the transaction, under new keys."""
        return [self._join(chunk) if chunk.state.get(IS_READ) else self._store_page(chunk) for chunk in chunks]

    def run_chunks(self, chunks: Sequence[Chunk], prepared: Sequence[Page | StoredFile]) -> list[ChunkResult]:
        return [self._commit(chunk, found) for chunk, found in zip(chunks, prepared, strict=True)]

    def _store_page(self, chunk: Chunk) -> Page:
        rows, key = self._open(self.read_params(chunk.params))
        columns = list_columns(rows, self.columns)
        state = dict(chunk.state)
        bound = None if state[UP_TO] is None else key.decode(state[UP_TO], what="bound")
        after = None if state[AFTER] is None else key.decode(state[AFTER], what="cursor")
        if bound is None:
            return Page(0, None, state, is_last=True)
        names = list(dict.fromkeys([*key.names, *columns]))
        found = list(select_range(rows, key, after=after, up_to=bound).values_list(*names)[: chunk.limit])
        page = self._remove_copies(found, key)
        last = after if not page else page[-1][: len(key.names)]
        is_last = len(found) < chunk.limit or last == bound
        state |= {AFTER: None if last is None else key.encode(last), ROWS: state[ROWS] + len(page)}
        if not page:
            return Page(0, None, state, is_last=is_last)
        places = [names.index(name) for name in columns]
        content = format_rows(
            ([row[place] for place in places] for row in page),
            columns,
            file_format=self.file_format,
            neutralises_formulas=self.neutralises_formulas,
        )
        position = state[SHARD] * SHARD_ROWS + chunk.state[ROWS]
        part = write_file(
            [content],
            task_id=chunk.task_id,
            owner=chunk.owner,
            name=f"part {position}",
            kind=TaskFile.Kind.PART,
            position=position,
        )
        return Page(len(page), part, state, is_last=is_last)

    def _remove_copies(self, found: Sequence[tuple[Any, ...]], key: CursorKey) -> list[tuple[Any, ...]]:
        """Return the rows without those that a join has repeated. Raises HopelessError if two of a key differ."""
        size = len(key.names)
        page: list[tuple[Any, ...]] = []
        for row in found:
            if not page or row[:size] != page[-1][:size]:
                page.append(row)
            elif row != page[-1]:
                raise HopelessError(
                    f"task type {self.name!r}: collection() has several different rows for the key "
                    f"{str(key.encode(row[:size]))[:100]}: an annotation takes its value from a relation to many rows. Use an "
                    "aggregate or a subquery."
                )
        return page

    def _join(self, chunk: Chunk) -> StoredFile:
        rows, _ = self._open(self.read_params(chunk.params))
        header = format_header(list_columns(rows, self.columns), file_format=self.file_format)
        content: Iterator[bytes] = chain([header], read_parts(chunk.task_id))
        return write_artifact(
            chunk,
            self.get_file_name(chunk.params),
            compress(content) if self.is_compressed else content,
            content_type=GZIP if self.is_compressed else CONTENT_TYPES[self.file_format],
        )

    def _commit(self, chunk: Chunk, found: Page | StoredFile) -> ChunkResult:
        if isinstance(found, StoredFile):
            drop_parts(chunk.task_id)
            result = {"rows": chunk.read_progress().done, "bytes": found.size}
            return ChunkResult(0, {}, chunk.state, finished=True, result=result, artifacts=[found])
        if found.part is not None:
            keep_files([found.part], task_id=chunk.task_id)
        counts = {"rows": found.rows}
        if not found.is_last:
            return ChunkResult(found.rows, counts, found.state, finished=False)
        # Of several shards, the last one joins the parts. The lock lets only one of them be the last.
        if chunk.read_progress().open_shards != 1:
            return ChunkResult(found.rows, counts, found.state, finished=True)
        return ChunkResult(found.rows, counts, {**found.state, IS_READ: True}, finished=False)
