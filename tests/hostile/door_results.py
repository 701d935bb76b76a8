"""Door: what task types return. `total`, `done`, `counts`, `state`, `finished`, or something else altogether."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.hostile import recipes
from tests.hostile.drawing import draw
from tests.hostile.odd_tasks import EITHER, FAILS, FINISHES, Ends, OddTask, OddTasks
from tests.hostile.recipes import Recipe
from tests.hostile.world import World

DOOR = "task results"
EITHER_COUNT = Ends(frozenset({"finished", "failed"}), tells_rows=False)
_NUMBERS = ("int", "bool", "enum", "float")
_USERS: Recipe = ["text", "users"]

_BY_HAND: list[dict[str, Recipe]] = [
    {"whole": ["none"]},
    {"whole": ["dict", []]},
    {"whole": ["generator"]},
    {"list": ["none"]},
    {"list": ["list", []]},
    {"list": ["generator"]},
    {"done": ["int", "-1"]},
    {"done": ["int", str(2**64)]},
    {"done": ["float", "nan"]},
    {"done": ["none"]},
    {"done": ["text", "1"]},
    {"counts": ["none"]},
    {"counts": ["dict", [[["text", "x"], ["int", str(2**64)]]]]},
    {"counts": ["dict", [[["text", "users"], ["int", "-5"]]]]},
    {"counts": ["dict", [[["text", "users"], ["float", "2.0"]]]]},
    {"counts": ["dict", [[["text", "users"], ["float", "nan"]]]]},
    {"counts": ["dict", [[["int", "2024"], ["int", "5"]]]]},
    {"counts": ["list", []]},
    {"counts": ["dict", [[["text", "k" * 3_000], ["int", "1"]]]]},
    {"state": ["list", []]},
    {"state": ["dict", [[["text", "a"], ["datetime", "2024-01-01T00:00:00"]]]]},
    {"state": ["dict", [[["text", "a"], ["bytes", "00"]]]]},
    {"state": ["dict", [[["text", "a"], ["decimal", "1.5"]]]]},
    {"state": ["dict", [[["text", "a"], ["float", "nan"]]]]},
    {"state": ["dict", [[["text", "a"], ["text", "caf\udce9"]]]]},
    {"state": ["dict", [[["text", "a"], ["repeat", "x", recipes.MEGABYTES_5]]]]},
    {"state": ["dict", [[["text", "a"], ["deep", 50_000]]]]},
    {"state": ["cycle"]},
    {"state": ["dict", [[["int", "1"], ["int", "1"]]]]},
    {"finished": ["text", "yes"]},
    {"finished": ["bool", False]},
    {"finished": ["dict", []]},
]
_TOTALS: list[Recipe] = [
    ["int", "-1"],
    ["int", str(2**63)],
    ["int", str(2**70)],
    ["int", "9" * 5_000],
    ["float", "nan"],
    ["float", "2.5"],
    ["text", "5"],
    ["list", []],
    ["generator"],
    ["none"],
    ["int", "1"],
    ["raise", ["ValueError", "in total"]],
    ["raise", ["SystemExit", 0]],
    ["raise", ["KeyboardInterrupt"]],
    ["raise", ["UnspeakableError"]],
    ["raise", ["long", "x", 5_000_000]],
    ["raise", ["ValueError", "caf\udce9"]],
    ["raise", ["overflow"]],
]


def run(world: World, *, number: int) -> None:
    """Run `number` odd results, half of them hand-written if `number` is small."""
    fields = st.one_of(
        st.tuples(st.sampled_from(["done", "counts", "state", "finished", "whole", "list"]), recipes.values),
        st.tuples(st.just("counts"), _counts()),
        st.tuples(st.just("state"), _dicts(recipes.values)),
    ).map(lambda pair: {pair[0]: pair[1]})
    drawn = draw(fields, number=max(0, number - len(_BY_HAND)), seed_number=world.seed)
    tasks = [OddTask("odd_result", given, expect(given)) for given in (_BY_HAND + drawn)[: max(number, 12)]]
    OddTasks(world.stack, world.tally, DOOR).run(tasks)


def run_totals(world: World, *, number: int) -> None:
    """Run `number` odd totals."""
    drawn = draw(recipes.values, number=max(0, number - len(_TOTALS)), seed_number=world.seed)
    tasks = [OddTask("odd_total", given, _expect_total(given)) for given in (_TOTALS + drawn)[: max(number, 12)]]
    OddTasks(world.stack, world.tally, DOOR).run(tasks, singly=True)


def _dicts(inner: Any) -> Any:
    return st.lists(st.tuples(recipes.keys, inner).map(list), max_size=3).map(lambda pairs: ["dict", pairs])


def _counts() -> Any:
    names = st.just(_USERS) | recipes.keys
    numbers = recipes.integers.map(lambda text: ["int", text]) | recipes.leaves
    return st.lists(st.tuples(names, numbers).map(list), max_size=3).map(lambda pairs: ["dict", pairs])


def expect(given: dict[str, Recipe]) -> Ends:
    """Return how a task with this result must end."""
    [(field, value)] = given.items()
    fails = Ends(words=("odd_result",) if field in ("whole", "list") else ("odd_result", field))
    kind = value[0]
    if field in ("whole", "list"):
        return fails
    if field == "done":
        if kind == "int":
            return {"1": FINISHES, "0": EITHER}.get(value[1], fails)
        return EITHER if kind in _NUMBERS else fails
    if field == "finished":
        if kind == "none" or value == ["bool", True]:
            return FINISHES
        return EITHER if kind in _NUMBERS else fails
    if field == "state":
        if kind == "none":
            return EITHER
        if kind != "dict" or recipes.is_surely_bad(value):
            return fails
        return FINISHES if recipes.is_surely_good(value) else EITHER
    if kind == "none":
        return EITHER_COUNT
    if kind != "dict":
        return fails
    return _expect_counts(value[1], fails)


def _expect_counts(pairs: list[list[Recipe]], fails: Ends) -> Ends:
    # A later pair with the same key overwrites it.
    last = {repr(key): (key, number) for key, number in pairs}
    is_clear = len(last) == len(pairs)
    for key, number in last.values():
        if not recipes.is_text_key(key):
            return fails if is_clear else EITHER_COUNT
        if number[0] not in _NUMBERS or (number[0] == "int" and not 0 <= int(number[1]) < 2**63):
            return fails if is_clear else EITHER_COUNT
        if number[0] == "float":
            return fails if is_clear else EITHER_COUNT
    return EITHER_COUNT


def _expect_total(value: Recipe) -> Ends:
    kind = value[0]
    fails = Ends(words=("odd_total", "total"))
    if kind == "raise":
        return FAILS
    if kind == "none":
        return FINISHES
    if kind == "int":
        number = int(value[1]) if len(value[1]) < 4_000 else 10**4_000
        return FINISHES if 1 <= number < 2**31 else EITHER if 0 <= number < 2**63 else fails
    return EITHER if kind in _NUMBERS else fails
