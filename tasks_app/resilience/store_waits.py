"""Repeats a single step while Redis or the database is unavailable, until the store accepts it.

Owns the loop of such steps. Each step must be idempotent, because the reply to a step that was carried out may be
lost. A loop over all work (mirror, webhooks) begins its next round instead. Must not decide which errors are transient
(transient_errors) nor how long to wait (backoff).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tasks_app.resilience.backoff import Backoff
from tasks_app.resilience.transient_errors import is_transient_error

Params = ParamSpec("Params")
Result = TypeVar("Result")


class WaitsForStores(Protocol):
    """An object with steps that wait while Redis or the database is unavailable."""

    def make_backoff(self) -> Backoff:
        """Return the waits of one step."""

    def note_wait(self, error: Exception) -> None:
        """Record an error before the wait."""


Owner = TypeVar("Owner", bound=WaitsForStores)


def waits_for_stores(
    step: Callable[Concatenate[Owner, Params], Result],
) -> Callable[Concatenate[Owner, Params], Result]:
    """Decorate an idempotent method: repeat it while a store is unavailable.

    The method raises ShutdownRequested if the process shall stop meanwhile, and every error that is not transient.
    """

    @wraps(step)
    def repeat(self: Owner, /, *args: Params.args, **keywords: Params.kwargs) -> Result:
        backoff = self.make_backoff()
        while True:
            try:
                return step(self, *args, **keywords)
            except Exception as error:
                if not is_transient_error(error):
                    raise
                self.note_wait(error)
                backoff.wait()

    return repeat
