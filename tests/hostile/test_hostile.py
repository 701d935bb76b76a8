"""The quick hostile run: a few hundred odd values through every door, ordinary tasks beside them."""

import pytest

from loadtests.started.servers import Database, RedisServer
from tests.hostile import door_results, recipes
from tests.hostile.drawing import draw
from tests.hostile.odd_tasks import FINISHES
from tests.hostile.run import run

VALUES = 300


@pytest.mark.slow
def test_odd_values_harm_no_other_task(servers: tuple[Database, RedisServer]) -> None:
    tally = run(servers=servers, values=VALUES, seed=1)
    # `make hostile` judges how late an ordinary task is, on a machine of its own.
    faults = [fault for fault in tally.faults if fault.kind != "late"]
    assert not faults, "\n" + tally.to_text()
    assert tally.values >= VALUES


def test_the_same_seed_draws_the_same_values() -> None:
    first = draw(recipes.values, number=50, seed_number=3)
    assert first == draw(recipes.values, number=50, seed_number=3)
    assert first != draw(recipes.values, number=50, seed_number=4)
    assert len(first) == 50


def test_every_drawn_recipe_can_be_built() -> None:
    for recipe in draw(recipes.values, number=200, seed_number=5):
        recipes.build(recipe)
        assert not (recipes.is_surely_good(recipe) and recipes.is_surely_bad(recipe)), recipe


def test_plain_results_are_expected_to_finish() -> None:
    assert door_results.expect({"state": ["dict", [[["text", "a"], ["int", "1"]]]]}) == FINISHES
    assert "failed" in door_results.expect({"state": ["dict", [[["text", "a"], ["float", "nan"]]]]}).statuses


def test_an_unhashable_key_is_built_from_its_text() -> None:
    assert recipes.build(["dict", [[["set"], ["none"]]]]) == {"{1, 2}": None}
    assert not recipes.is_surely_bad(["dict", [[["set"], ["none"]]]])
    assert recipes.is_surely_bad(["dict", [[["int", "1"], ["none"]]]])
