"""Door: what task types raise, in a chunk, before it, and in a batch."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.hostile import recipes
from tests.hostile.drawing import draw
from tests.hostile.odd_tasks import Ends, OddTask, OddTasks
from tests.hostile.world import World

DOOR = "task errors"
TYPES = ("odd_error", "odd_preparation", "odd_small_error")
# A recipe of `raising`, and words that the error must contain.
_BY_HAND: list[tuple[list[Any], tuple[str, ...]]] = [
    (["ValueError", "plain"], ("ValueError", "odd: plain")),
    (["SystemExit", 0], ("SystemExit",)),
    (["SystemExit", 1], ("SystemExit",)),
    (["SystemExit"], ("SystemExit",)),
    (["SystemExit", "words"], ("SystemExit", "words")),
    (["SystemExit", None], ("SystemExit",)),
    (["KeyboardInterrupt"], ("KeyboardInterrupt",)),
    (["GeneratorExit"], ("GeneratorExit",)),
    (["CancelledError"], ("CancelledError",)),
    (["OwnBaseError"], ("OwnBaseError", "odd: own")),
    (["long", "x", 5_000_000], ("ValueError",)),
    (["long", "\udce9", 1_000_000], ("ValueError",)),
    (["long", "\n", 1_000_000], ("ValueError",)),
    (["long", "password=", 600_000], ("ValueError",)),
    (["long", "🎉", 30_000], ("ValueError",)),
    (["ValueError", "caf\udce9.csv"], ("ValueError", "odd: caf", ".csv")),
    (["ValueError", "nul \0 and \x1b[2J"], ("ValueError", "odd: nul")),
    (["many_arguments", 100_000], ("ValueError",)),
    (["StopIteration"], ("StopIteration",)),
    (["StopAsyncIteration"], ("StopAsyncIteration",)),
    (["MemoryError"], ("MemoryError",)),
    (["exhaust"], ("Error",)),
    (["RecursionError"], ("RecursionError",)),
    (["overflow"], ("RecursionError",)),
    (["UnspeakableError"], ("UnspeakableError",)),
    (["SilentError"], ("SilentError",)),
    (["ArgumentlessError"], ("ArgumentlessError",)),
    (["group"], ("odd group", "odd: 0")),
    (["group", 50, 50], ("odd group",)),
    (["group", 0, 20_000], ("odd group",)),
    (["many_causes"], ("ValueError", "odd: cause 499")),
    (["cycle_of_contexts"], ("odd: first",)),
    (["UnicodeDecodeError"], ("UnicodeDecodeError",)),
    (["OSError", "caf\udce9.csv"], ("FileNotFoundError", "odd: no such file")),
    (["SyntaxError", "caf\udce9("], ("SyntaxError",)),
    (["assert"], ("AssertionError",)),
    (["divide"], ("ZeroDivisionError",)),
    (["driver", 2006], ("OperationalError", "2006")),
    (["driver", 1213], ("OperationalError", "1213")),
    (["django", 1064], ("OperationalError", "1064")),
    (["redis", "ConnectionError"], ("ConnectionError", "another broker")),
    (["redis", "TimeoutError"], ("TimeoutError", "another broker")),
    (["redis", "ReadOnlyError"], ("ReadOnlyError", "another broker")),
    (["redis", "BusyLoadingError"], ("BusyLoadingError", "another broker")),
    (["redis", "NoScriptError"], ("NoScriptError", "another broker")),
    (["redis", "ResponseError"], ("ResponseError", "another broker")),
    (["rq", "JobTimeoutException"], ("JobTimeoutException",)),
    (["drf", "refused"], ("refused",)),
    (["engine", "Fenced"], ("Fenced",)),
    (["engine", "CancelRequested"], ("CancelRequested",)),
    (["engine", "GaveUp"], ("GaveUp",)),
]
# Errors that report an available database as unavailable: retried for a while, then shown.
_LYING = [["django", 2013], ["django", 2006], ["django", 1213]]


def run(world: World, *, number: int) -> None:
    """Raise `number` odd exceptions."""
    drawn = draw(st.tuples(st.sampled_from(TYPES), _recipes()), number=number, seed_number=world.seed)
    by_hand = [(name, recipe, words) for recipe, words in _BY_HAND for name in TYPES]
    if number < len(by_hand):
        by_hand = [(TYPES[place % 3], recipe, words) for place, (recipe, words) in enumerate(_BY_HAND)]
    chosen = [OddTask(name, recipe, Ends(words=words)) for name, recipe, words in by_hand]
    chosen += [OddTask(name, recipe, Ends(words=(_class_of(recipe),))) for name, recipe in drawn]
    OddTasks(world.stack, world.tally, DOOR).run(chosen[: max(number, len(_BY_HAND))])


def run_lying(world: World) -> None:
    """Raise errors of an outage from code that sent no query."""
    tasks = [OddTask("odd_error", recipe, Ends(words=(str(recipe[1]),), may_wait=True)) for recipe in _LYING]
    OddTasks(world.stack, world.tally, DOOR).run(tasks, end_seconds=15)


def _recipes() -> st.SearchStrategy[list[Any]]:
    return st.one_of(
        recipes.any_text.map(lambda text: ["ValueError", text]),
        st.tuples(recipes.any_text, st.integers(1, 50_000)).map(lambda pair: ["long", *pair]),
        st.sampled_from([recipe for recipe, _ in _BY_HAND if recipe[0] not in ("long", "many_arguments", "engine")]),
        st.one_of(st.none(), st.integers(), st.text(max_size=10), st.booleans()).map(lambda code: ["SystemExit", code]),
        recipes.any_text.map(lambda text: ["SyntaxError", text]),
        recipes.any_text.map(lambda text: ["OSError", text]),
    )


def _class_of(recipe: list[Any]) -> str:
    known = next((words[0] for known, words in _BY_HAND if known == recipe), "")
    return known or {"long": "ValueError", "OSError": "FileNotFoundError"}.get(recipe[0], recipe[0])
