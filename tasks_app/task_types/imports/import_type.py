"""The base class of imports: a chunk reads some records of a file, validates them, and writes their rows.

Owns the steps of a chunk, and which error means that no other attempt helps. Must not know how a format is read
(record_files), where a chunk's records stand in the file (sources), or how a row is validated (rows).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, ClassVar, cast

from django.db import Error
from django.db.models import Model
from rest_framework import serializers

from tasks_app.domain.callers import Caller
from tasks_app.errors import HopelessError, ParamRefused, StoreUnavailable
from tasks_app.files.open_file import FileGone, find_row, open_file
from tasks_app.files.storage import mapped_storage_errors
from tasks_app.record_files import RecordFile, RecordFileError
from tasks_app.task_types.collections.failure_walk import plan_walk
from tasks_app.task_types.cursor_use import CursorUse
from tasks_app.task_types.failed_record import CannotRetryFailures, FailedRecord
from tasks_app.task_types.failure_lists import FailureList, find_range
from tasks_app.task_types.imports import model_rows, open_import
from tasks_app.task_types.imports.model_rows import list_changes
from tasks_app.task_types.imports.open_import import OpenImport
from tasks_app.task_types.imports.params import FILE, ImportParams, get_options
from tasks_app.task_types.imports.plans import plan_import
from tasks_app.task_types.imports.rows import ImportRow, RowReader, RowRefused, RowSchema
from tasks_app.task_types.imports.sources import Source, take_records
from tasks_app.task_types.row_changes import RowChange
from tasks_app.task_types.task_plans import Plan
from tasks_app.task_types.task_type import Chunk, ChunkResult, TaskType


@dataclass(frozen=True, slots=True)
class ImportRun(Chunk):
    """The chunk that rows belong to, and what `prepare_rows` has returned for it."""

    prepared: Any = None


@dataclass(frozen=True, slots=True)
class _Work:
    """What a chunk has read: rows that are accepted, and the first record that is not, if no row precedes it."""

    rows: list[ImportRow]
    source: Source
    finished: bool
    refused: RowRefused | None = None
    prepared: Any = None


class Import(TaskType):
    """A task type that writes a row for each record of a CSV or JSON lines file (docs/imports.md).

    Subclass it with a `row_serializer` and `process`, or with `model` and `fields`.
    """

    params_serializer: ClassVar[type[serializers.Serializer[Any]]] = ImportParams
    is_planned = True
    splittable = True
    isolates_failures = True
    supports_dry_run = True
    count_names: ClassVar[tuple[str, ...]] = ("rows",)
    row_serializer: ClassVar[type[serializers.Serializer[Any]] | None] = None  # its fields are the columns
    model: ClassVar[type[Model] | None] = None  # `process` inserts its rows
    fields: ClassVar[tuple[str, ...]] = ()  # of the model: the columns, if there is no row_serializer
    update_by: ClassVar[tuple[str, ...]] = ()  # of the model: a row with these values is updated if it exists
    max_chunk_bytes: ClassVar[int] = 4 * 1024 * 1024  # of the file's text, that a chunk reads

    def __init__(self) -> None:
        """Raise ValueError if a declaration is missing or wrong."""
        self.check_declaration()

    # --- for subclasses

    def prepare_rows(self, rows: Sequence[ImportRow], run: Chunk) -> Any:
        """Do what needs no transaction, such as reserving ids; `process` gets the result as `run.prepared`."""
        return None

    def process(self, rows: Sequence[ImportRow], run: ImportRun) -> Mapping[str, int] | None:
        """Write rows, in the chunk's transaction. Returns counts by name; None: {"rows": the number of rows}."""
        if self.model is None:
            raise NotImplementedError(f"{type(self).__name__} must implement process, or set model")
        model_rows.write_rows(self.model, rows, update_by=self.update_by)
        return None

    # --- for other kinds of imports

    def check_declaration(self) -> None:
        """Raise ValueError if a declaration is missing or wrong."""
        if self.row_serializer is None and not (self.model is not None and self.fields):
            raise ValueError(f"task type {type(self).__qualname__}: set row_serializer, or model and fields.")
        if self.row_serializer is None and self.model is not None:
            model_rows.check_fields(self.model, self.fields)
        if self.update_by:
            if self.model is None:
                raise ValueError(f"task type {type(self).__qualname__}: update_by needs model.")
            model_rows.check_update_by(self.model, self.update_by)

    def make_reader(self) -> RowReader:
        """Return what makes rows of records. Its columns are those of the file."""
        serializer = self.row_serializer
        if serializer is None and self.model is not None:
            serializer = model_rows.make_serializer(self.model, self.fields)
        if serializer is None:
            raise TypeError(f"{type(self).__name__} has neither row_serializer nor model")
        return RowSchema(serializer())

    def process_rows(self, rows: Sequence[ImportRow], run: ImportRun) -> tuple[int, Mapping[str, int]]:
        """Write rows, in the chunk's transaction. Returns how many from the first one on, and counts by name."""
        counts = self.process(rows, run)
        if counts is None:
            counts = {"rows": len(rows)} if "rows" in self.count_names else {}
        return len(rows), counts

    # --- for the engine

    def authorize(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Check the header of the file, so that a file of other columns is refused at the start. Reads some KiB.

        Raises ParamRefused with line and column, FilesUnavailable and StoreUnavailable. A subclass that checks more must
        call this.
        """
        with mapped_storage_errors():
            try:
                opened = self._open(params)
                try:
                    opened.records.check_first_record()
                finally:
                    opened.close()
            except (RecordFileError, FileGone) as error:
                raise ParamRefused(str(error), field=FILE) from error
            except Error as error:
                raise StoreUnavailable(error) from error

    def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Plan:
        """Count the records in one pass over the file, and split it into parts (docs/imports.md). Raises HopelessError."""
        if (listed := find_range(params)) is not None:
            return plan_walk(listed, shard_records=shard_records)
        try:
            opened = self._open(params)
        except RecordFileError as error:
            raise HopelessError(str(error)) from error
        try:
            return plan_import(opened.records, shard_records=shard_records)
        finally:
            opened.close()

    def explain_cursor(self, params: Mapping[str, Any]) -> CursorUse:
        """A position in a file needs no index."""
        return CursorUse("the position in the file, which needs no index")

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> list[_Work]:
        """Read and validate the records of each chunk. Raises HopelessError if the file cannot be read."""
        return [self._read(chunk) for chunk in chunks]

    def run_chunks(self, chunks: Sequence[Chunk], prepared: list[_Work]) -> list[ChunkResult]:
        return [self._write(chunk, work) for chunk, work in zip(chunks, prepared, strict=True)]

    def skip_record(self, chunk: Chunk) -> tuple[ChunkResult, FailedRecord | None]:
        """Describe the record at the chunk's position, and move the position past it; None if there is none."""
        source = self._take(chunk, most_records=1)
        if not source.records:
            return ChunkResult(0, {}, dict(chunk.state), finished=True), None
        [record] = source.records
        result = ChunkResult(1, {}, source.get_state(1), finished=source.has_ended)
        values = self._reader.get_original(record, is_text=source.is_text)
        if record.fault is not None:  # it has more or fewer fields than columns, or could not be parsed
            opened = open_import.get_held((self.name, chunk.task_id))
            values = dict.fromkeys(() if opened is None else opened.records.names, "") | dict(values)
        is_complete = record.fault is None
        return result, FailedRecord(key=source.get_place(0), line=record.line, values=values, is_complete=is_complete)

    def retry_params(
        self, *, task_id: uuid.UUID, params: Mapping[str, Any], failures: FailureList
    ) -> Mapping[str, Any]:
        """Return params that limit an import to these records of the same file. Raises CannotRetryFailures if it is gone."""
        try:
            find_row(params[FILE])
        except FileGone as error:
            raise CannotRetryFailures(
                f"they are read from its file again. {error} Get the list as CSV (GET /tasks/{task_id}/failures?format=csv), "
                "correct its records, and start an import of that file"
            ) from error
        return failures.range.add_to(params)

    # --- steps

    def _read(self, chunk: Chunk) -> _Work:
        source = self._take(chunk, most_records=chunk.limit)
        rows: list[ImportRow] = []
        for place, record in enumerate(source.records):
            try:
                rows.append(self._reader.read(record, position=chunk.start + place, is_text=source.is_text))
            except RowRefused as refused:
                if not rows:
                    return _Work([], source, False, refused)
                # The rows before it are a chunk of their own, so that the error does not depend on the size of chunks.
                return _Work(rows, source, False, None, self.prepare_rows(rows, chunk))
        if source.has_ended:
            open_import.hold(None, None)
        prepared = self.prepare_rows(rows, chunk) if rows else None
        return _Work(rows, source, source.has_ended, None, prepared)

    def _write(self, chunk: Chunk, work: _Work) -> ChunkResult:
        if work.refused is not None:
            raise work.refused
        if not work.rows:
            return ChunkResult(0, {}, work.source.get_state(0), work.finished)
        changes: Sequence[RowChange] = list_changes(
            work.rows[: chunk.changes_wanted], start=chunk.start, model=self.model, update_by=self.update_by
        )
        base = {each.name: getattr(chunk, each.name) for each in dataclasses.fields(Chunk)}
        done, counts = self.process_rows(work.rows, ImportRun(**base, prepared=work.prepared))
        is_last = work.finished and done == len(work.rows)
        return ChunkResult(done, counts, work.source.get_state(done), is_last, changes=changes[:done])

    def _take(self, chunk: Chunk, *, most_records: int) -> Source:
        """Return the next records from the file, which stays open for the next chunk. Raises HopelessError."""
        try:
            key = (self.name, chunk.task_id)
            opened = open_import.get_held(key)
            if opened is None:
                open_import.hold(None, None)
                opened = self._open(chunk.params)
                open_import.hold(key, opened)
            return take_records(opened, chunk, most_records=most_records, most_bytes=self.max_chunk_bytes)
        except RecordFileError as error:
            open_import.hold(None, None)
            raise HopelessError(str(error)) from error
        except BaseException:  # also the time limit, which interrupts the reader anywhere
            open_import.hold(None, None)
            raise

    def _open(self, params: Mapping[str, Any]) -> OpenImport:
        """Open the file and check its header. Raises FileGone, RecordFileError and the storage's errors."""
        options = get_options(params, file_name=find_row(params[FILE]).name)
        file = cast(BinaryIO, open_file(params[FILE]))
        try:
            return OpenImport(file, RecordFile(file, options=options, columns=self._reader.columns))
        except BaseException:
            file.close()
            raise

    @cached_property
    def _reader(self) -> RowReader:
        return self.make_reader()
