"""Errors as text: the `error` column of a failed attempt, and its summary of one line for clients.

Owns the format and the length of these texts. Exceptions come from foreign code: their methods may raise, their messages
may be huge or invalid Unicode, their causes may form a cycle. None of that may raise here. Must not know tasks or stores.

Only the line that names an exception begins at the left margin; frames, further lines of its message, notes and the
members of a group are indented. This is how `summarize_error` finds the exception in a text.
"""

from __future__ import annotations

import linecache
import re
import reprlib
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from tasks_app.domain import printable

ERROR_CHARACTERS: Final = 20_000  # maximum of a whole text
SUMMARY_CHARACTERS: Final = 500
_MESSAGE: Final = 4_000  # maximum characters of the raised exception's message
_CAUSE_MESSAGE: Final = 1_000  # maximum characters of each cause's message
_EXTRAS: Final = 2_000  # maximum characters of notes and the members of a group
_SOURCE_LINE: Final = 160  # maximum characters of a source line, a file name and a function name
_OUTER, _INNER = 4, 16  # first and last frames that are shown of a longer stack
_CAUSE_INNER: Final = 6
_CAUSES: Final = 8
_NOTES: Final = 5
_MEMBERS: Final = 5  # of an exception group
_GROUP_DEPTH: Final = 3
_HEADER: Final = "Traceback (most recent call last):"
_CAUSED: Final = "The above exception was the direct cause of the following exception:"
_DURING: Final = "During handling of the above exception, another exception occurred:"


class _ShortRepr(reprlib.Repr):
    """Does not make the repr of all bytes, which takes minutes for a file's content."""

    def repr_bytes(self, value: bytes, level: int) -> str:
        most = self.maxstring // 4  # a byte is up to four characters
        return repr(value) if len(value) <= most else f"{value[:most]!r}…"

    def repr_bytearray(self, value: bytearray, level: int) -> str:
        return f"bytearray({self.repr_bytes(bytes(value[: self.maxstring]), level)})"


_repr = _ShortRepr()  # reads only the beginning and the end of a long value
_repr.maxstring = _repr.maxother = 200
_repr.maxlong = 100
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 10

_LINE_BREAKS: Final = re.compile("[\n\t\u2028\u2029]")


def describe_error(error: BaseException) -> str:
    """Return the escaped traceback of an exception with its causes, at most ERROR_CHARACTERS long. Never raises.

    A longer text loses its oldest causes and its middle frames; the type of the raised exception, the beginning of its
    message and its innermost frames remain.
    """
    blocks = [_describe_one(error, message=_MESSAGE, outer=_OUTER, inner=_INNER)]
    remaining = ERROR_CHARACTERS - len(blocks[0])
    for older, link in _walk_causes(error):
        block = _describe_one(older, message=_CAUSE_MESSAGE, outer=0, inner=_CAUSE_INNER)
        block = f"{block}\n\n{link}\n\n"
        remaining -= len(block)
        if remaining < 0:
            break
        blocks.append(block)
    return "".join(reversed(blocks))[-ERROR_CHARACTERS:]


def error_line(error: BaseException, *, characters: int = SUMMARY_CHARACTERS) -> str:
    """Return an exception's type and message as one escaped line, for the log. Never raises."""
    message = _read_message(error, characters)
    line = f"{_name_type(error)}: {message}" if message else _name_type(error)
    return _cut(_LINE_BREAKS.sub(lambda found: repr(found[0])[1:-1], line), characters)


def summarize_error(text: str) -> str:
    """Return the type and message of the raised exception in a traceback, as one line.

    A text without a traceback is only shortened to SUMMARY_CHARACTERS.
    """
    lines = text[-ERROR_CHARACTERS:].rstrip().split("\n")
    start = max((index for index, line in enumerate(lines) if line and not line[0].isspace()), default=0)
    parts = []
    for line in lines[start:]:
        if line.startswith("  +"):  # notes and members of a group
            break
        parts.append(line.strip())
    return _cut(" ".join(part for part in parts if part), SUMMARY_CHARACTERS)


def describe_value(value: object, *, characters: int = 200) -> str:
    """Return a value's repr as one escaped line of bounded length. Never raises, even if the value's class does."""
    kind = type(value)
    if kind is int and value.bit_length() > 512:  # type: ignore[attr-defined]
        return f"an int of {value.bit_length()} bits"  # type: ignore[attr-defined]
    text = _safely(lambda: str.__str__(_repr.repr(value)), "")
    if not text:
        text = f"<{_name_type(value)} whose repr() failed>"
    text = escape(text[: characters + 1])
    return _cut(_LINE_BREAKS.sub(lambda found: repr(found[0])[1:-1], text), characters)


def escape(text: str) -> str:
    """Return the text with control characters and lone surrogates as backslash escapes; line breaks and tabs remain."""
    return printable.escape(text, unsafe=printable.IN_LINES)


def _describe_one(error: BaseException, *, message: int, outer: int, inner: int, depth: int = 0) -> str:
    """Return the frames, type, message, notes and members of one exception, without its causes."""
    lines = list(_describe_frames(_safely(lambda: error.__traceback__, None), outer, inner))
    if lines:
        lines.insert(0, _HEADER)
    if isinstance(error, SyntaxError):
        lines += _describe_syntax(error)
    first, *more = _read_message(error, message).strip().split("\n")
    summary = "\n    ".join([f"{_name_type(error)}: {first}" if first else _name_type(error), *more])
    lines.append(_cut(summary, message + 2 * _SOURCE_LINE))
    extras = "\n".join(_describe_notes(error) + _describe_members(error, depth))
    if extras:
        lines.append(_cut(extras, _EXTRAS))
    return "\n".join(lines)


def _describe_frames(trace: object, outer: int, inner: int) -> Iterator[str]:
    first: list[TracebackType] = []
    last: deque[TracebackType] = deque(maxlen=inner)
    omitted = 0
    while isinstance(trace, TracebackType):
        if len(first) < outer:
            first.append(trace)
        else:
            omitted += len(last) == inner
            last.append(trace)
        trace = trace.tb_next
    for each in first:
        yield from _describe_frame(each)
    if omitted:
        yield f"  [{omitted} frames left out]"
    for each in last:
        yield from _describe_frame(each)


def _describe_frame(trace: TracebackType) -> Iterator[str]:
    code, number = trace.tb_frame.f_code, trace.tb_lineno
    name = escape(_cut(code.co_filename, _SOURCE_LINE, keep_end=True))
    yield f'  File "{name}", line {number}, in {escape(_cut(code.co_name, _SOURCE_LINE))}'
    line = _safely(lambda: linecache.getline(code.co_filename, number, trace.tb_frame.f_globals).strip(), "")
    if line:
        yield f"    {escape(_cut(line, _SOURCE_LINE))}"


def _describe_syntax(error: SyntaxError) -> list[str]:
    name, number, text = _safely(lambda: (error.filename, error.lineno, error.text), (None, None, None))
    if not (isinstance(name, str) and isinstance(number, int) and isinstance(text, str)):
        return []
    where = f"  File {describe_value(name)}, line {describe_value(number)}"
    return [where, f"    {escape(text[:_SOURCE_LINE].strip()).replace(chr(10), ' ')}"]


def _describe_notes(error: BaseException) -> list[str]:
    notes = _safely(lambda: error.__notes__, None)
    if type(notes) is not list:
        return []
    texts = [escape(note[:_SOURCE_LINE]) if type(note) is str else describe_value(note) for note in notes[:_NOTES]]
    more = [f"  + [{len(notes) - _NOTES} notes left out]"] if len(notes) > _NOTES else []
    return [f"  + {line}" for note in texts for line in note.split("\n")] + more


def _describe_members(error: BaseException, depth: int) -> list[str]:
    members = _safely(lambda: error.exceptions, ()) if isinstance(error, BaseExceptionGroup) else ()
    if type(members) is not tuple:
        return []
    if depth >= _GROUP_DEPTH:
        return [f"  + [{len(members)} members left out]"]
    lines = []
    for member in members[:_MEMBERS]:
        text = _describe_one(member, message=_SOURCE_LINE, outer=0, inner=2, depth=depth + 1)
        lines += [f"  +   {line}" for line in text.split("\n")]
    if len(members) > _MEMBERS:
        lines.append(f"  + [{len(members) - _MEMBERS} members left out]")
    return lines


def _walk_causes(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield the causes of an exception, newest first, each with the sentence that links it to the next exception."""
    seen = {id(error)}
    for _ in range(_CAUSES):
        older, link = _safely(lambda: error.__cause__, None), _CAUSED  # noqa: B023 (called at once)
        if older is None and not _safely(lambda: error.__suppress_context__, True):  # noqa: B023
            older, link = _safely(lambda: error.__context__, None), _DURING  # noqa: B023
        if not isinstance(older, BaseException) or id(older) in seen:
            return
        seen.add(id(older))
        yield older, link
        error = older


def _name_type(value: object) -> str:
    kind = type(value)
    name = _safely(lambda: type.__dict__["__qualname__"].__get__(kind), "")
    module = _safely(lambda: kind.__dict__.get("__module__"), "")
    if isinstance(module, str) and module not in ("", "builtins", "__main__"):
        name = f"{module}.{name}"
    return escape(_cut(name, _SOURCE_LINE)).replace("\n", " ") or "an exception"


def _read_message(error: BaseException, characters: int) -> str:
    text = _safely(lambda: str.__str__(str(error)), None)
    if text is None:
        return "<its message could not be read: str() failed>"
    more = len(text) - characters
    part = escape(text[:characters].replace("\r\n", "\n"))
    return f"{_cut(part, characters)} … [{more} more characters]" if more > 0 else _cut(part, characters)


def _cut(text: str, characters: int, *, keep_end: bool = False) -> str:
    if len(text) <= characters:
        return text
    return f"…{text[1 - characters :]}" if keep_end else f"{text[: characters - 1]}…"


def _safely(read: Callable[[], Any], otherwise: Any) -> Any:
    """Return the result of `read`, or `otherwise` if the foreign code that it calls raises anything."""
    try:
        return read()
    except BaseException:  # even SystemExit: the attempt has already failed, and this only describes the error
        return otherwise
