"""The output of the stack's processes: read from their pipes, and printed line by line with time, name and colour.

Owns the read ends of the pipes. Must not start, watch or stop a process.
"""

from __future__ import annotations

import itertools
import os
import selectors
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, TextIO

from honcho.colour import get_colours
from honcho.printer import Message, Printer

LINE_BYTES = 128 * 1024  # a longer line is printed in pieces


@dataclass(slots=True)
class _Source:
    name: str
    unfinished_line: bytes = b""


class ProcessOutput:
    """Prints the output of the followed processes."""

    def __init__(self, output: TextIO) -> None:
        self._printer = Printer(output)
        self._unused_colours: Iterator[str] = get_colours()
        self._colours: dict[str, str] = {}
        self._selector = selectors.DefaultSelector()

    def set_names(self, names: Sequence[str]) -> None:
        """Give each process name a colour, and align the lines to the longest name."""
        self._printer.width = max(map(len, names))
        self._colours = {name: next(self._unused_colours) for name in names}

    def follow(self, name: str, pipe: IO[bytes]) -> None:
        """Print from now on the lines that a process writes into a pipe, until the pipe is closed."""
        os.set_blocking(pipe.fileno(), False)
        self._selector.register(pipe, selectors.EVENT_READ, _Source(name))

    def write(self, name: str, text: str) -> None:
        """Print one line of a process."""
        self._printer.write(Message("line", text, datetime.now().astimezone(), name, self._colours.get(name)))

    def pump(self, *, seconds: float) -> None:
        """Print the output of the next `seconds`; with 0, the output so far."""
        deadline = time.monotonic() + seconds
        for iteration in itertools.count():
            remaining_seconds = deadline - time.monotonic()
            if iteration and remaining_seconds <= 0:
                return
            if not self._selector.get_map():
                time.sleep(max(remaining_seconds, 0))
                continue
            for key, _ in self._selector.select(timeout=max(remaining_seconds, 0)):
                self._read(source=key.data, pipe=key.fileobj)

    def close(self) -> None:
        """Close all pipes."""
        for key in list(self._selector.get_map().values()):
            self._unfollow(key.fileobj)

    def _unfollow(self, pipe: Any) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def _read(self, *, source: _Source, pipe: Any) -> None:
        written = os.read(pipe.fileno(), 65536)
        *lines, source.unfinished_line = (source.unfinished_line + written).split(b"\n")
        if not written:
            lines, source.unfinished_line = [source.unfinished_line], b""
            self._unfollow(pipe)
        elif len(source.unfinished_line) > LINE_BYTES:
            lines, source.unfinished_line = [*lines, source.unfinished_line], b""
        for line in lines:
            self.write(source.name, line.decode(errors="replace"))
