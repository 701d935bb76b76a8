"""Commands of an event loop that other commands confirm, as WAIT does: all that is asked in one turn is confirmed together.

Owns a connection for them, because WAIT blocks it. Must not know what a command means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tasks_app.queues.loop_connection import LoopConnection
from tasks_app.queues.suspended_calls import Asking, Gathered, Words


class ConfirmedCommands:
    """The confirmed commands of one event loop. All methods belong to its thread."""

    def __init__(self, connection: LoopConnection) -> None:
        self._connection, self._loop = connection, asyncio.get_running_loop()
        self._turn: _Turn | None = None

    def ask(self, words: Words, confirming: Sequence[Words], asking: Asking) -> None:
        """Send a command, and at the end of this turn of the loop those that confirm it: of the turn's first command.

        Resumes with the list of all answers, or with the first exception as soon as it comes.
        """
        turn = self._turn
        if turn is None:
            turn = self._turn = _Turn(confirming)
            self._loop.call_soon(self._end_turn)
        gathered = Gathered(asking, count=1 + len(turn.confirming))
        turn.gathered.append(gathered)
        self._connection.ask(words, gathered)

    def close(self) -> None:
        """Give the connection up; whoever waits gets a ConnectionError."""
        self._connection.close()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            for words in turn.confirming:
                self._connection.ask(words, turn)


class _Turn:
    """Gets the answers of the confirming commands, and passes them on to all that was asked in one turn."""

    def __init__(self, confirming: Sequence[Words]) -> None:
        self.confirming = confirming
        self.gathered: list[Gathered] = []

    def resume(self, value: object) -> None:
        for each in self.gathered:
            each.resume(value)
