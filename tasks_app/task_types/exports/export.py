"""The base class of exports: a queryset becomes one file, an artifact of the task.

Owns the two phases. Each chunk stores a page of rows as a part, whose row commits with the cursor; a part whose chunk did
not commit is no part. When all rows are read, the parts are joined, and the artifact commits with the last chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from tasks_app.files.task_files import StoredFile, drop_parts, keep_files, read_parts, write_file
from tasks_app.models import TaskFile
from tasks_app.task_types.collections.totals import count_rows
from tasks_app.task_types.cursor_use import CursorUse
from tasks_app.task_types.exports.primary_key_pages import find_bounds, select_page, to_json
from tasks_app.task_types.exports.row_formats import (
    CONTENT_TYPES,
    CSV,
    GZIP,
    compress,
    format_header,
    format_rows,
)
from tasks_app.task_types.page_explanation import explain_page
from tasks_app.task_types.task_type import Chunk, ChunkResult, TaskType, write_artifact


class NoParams(serializers.Serializer[Any]):
    """An export without parameters."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows that was stored as a part; without rows, no part."""

    rows: int
    part: StoredFile | None
    state: dict[str, Any]


class Export(TaskType):
    """Writes the rows of `collection` to a file, in the order of the primary key.

    It has the rows that exist from its first chunk to their page: rows that are inserted behind the last key do not
    appear, rows that change or vanish meanwhile appear as their page finds them. The last chunk reads all parts and
    writes the file; it must end within the chunk's time limit.
    """

    params_serializer: ClassVar[type[serializers.Serializer[Any]]] = NoParams
    count_names = ("rows",)
    leaves_results = True
    first_limit = 2_000
    file_format: ClassVar[str] = CSV  # or JSON_LINES
    is_compressed: ClassVar[bool] = False  # as gzip
    columns: ClassVar[Sequence[str]] = ()  # names for values_list(), also of annotations; empty: all of the model's
    file_name: ClassVar[str] = ""  # empty: the type's name

    def collection(self, params: Mapping[str, Any]) -> QuerySet[Any]:
        """Return the rows to write, without order, slice and distinct."""
        raise NotImplementedError(f"{type(self).__name__} must implement collection")

    def get_file_name(self, params: Mapping[str, Any]) -> str:
        """Return the name of the file."""
        return self.file_name or f"{self.name}.{self.file_format}{'.gz' if self.is_compressed else ''}"

    def explain_cursor(self, params: Mapping[str, Any]) -> CursorUse | None:
        """Count the rows, and explain the page that follows the first row; None if there is no row."""
        rows = self.collection(params)
        bounds = find_bounds(rows)
        if bounds is None:
            return None
        first, last = bounds
        columns = self._list_columns(rows)
        page = select_page(rows, columns=columns, first=first, last=last, after=first, limit=self.first_limit)
        counted, is_estimate = count_rows(rows)
        return replace(explain_page(page), rows=counted, rows_are_estimate=is_estimate)

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> list[Page | StoredFile]:
        """Store the next page of each task, or join its parts: outside of the transaction, under new keys."""
        return [self._join(chunk) if chunk.state.get("isRead") else self._store_page(chunk) for chunk in chunks]

    def run_chunks(self, chunks: Sequence[Chunk], prepared: Sequence[Page | StoredFile]) -> list[ChunkResult]:
        return [self._commit(chunk, found) for chunk, found in zip(chunks, prepared, strict=True)]

    def _store_page(self, chunk: Chunk) -> Page:
        rows = self.collection(chunk.params)
        columns = self._list_columns(rows)
        state = dict(chunk.state)
        if "bounds" not in state:
            bounds = find_bounds(rows)
            state |= {"bounds": None if bounds is None else list(bounds), "after": None}
        if state["bounds"] is None:
            return Page(0, None, state | {"isRead": True})
        first, last = state["bounds"]
        page = list(select_page(rows, columns=columns, first=first, last=last, after=state["after"], limit=chunk.limit))
        if not page:
            return Page(0, None, state | {"isRead": True})
        content = format_rows((row[1:] for row in page), columns, file_format=self.file_format)
        part = write_file(
            [content],
            task_id=chunk.task_id,
            owner=chunk.owner,
            name=f"part from row {chunk.start}",
            kind=TaskFile.Kind.PART,
            position=chunk.start,
        )
        after = to_json(page[-1][0])
        return Page(len(page), part, state | {"after": after, "isRead": after == last or len(page) < chunk.limit})

    def _join(self, chunk: Chunk) -> StoredFile:
        columns = self._list_columns(self.collection(chunk.params))
        content: Iterator[bytes] = chain(
            [format_header(columns, file_format=self.file_format)], read_parts(chunk.task_id)
        )
        return write_artifact(
            chunk,
            self.get_file_name(chunk.params),
            compress(content) if self.is_compressed else content,
            content_type=GZIP if self.is_compressed else CONTENT_TYPES[self.file_format],
        )

    def _commit(self, chunk: Chunk, found: Page | StoredFile) -> ChunkResult:
        if isinstance(found, StoredFile):
            drop_parts(chunk.task_id)
            result = {"rows": chunk.start, "bytes": found.size}
            return ChunkResult(0, {}, chunk.state, finished=True, result=result, artifacts=[found])
        if found.part is not None:
            keep_files([found.part], task_id=chunk.task_id)
        return ChunkResult(found.rows, {"rows": found.rows}, found.state, finished=False)

    def _list_columns(self, rows: QuerySet[Any]) -> tuple[str, ...]:
        meta = rows.model._meta
        columns = self.columns or [field.attname for field in meta.concrete_fields]
        return tuple(meta.pk.attname if name == "pk" else name for name in columns)
