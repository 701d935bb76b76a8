"""The comparison in turns: the order of the turns, the ratios, and another commit's files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.bench.calibration import calibrate
from loadtests.bench.errors import BenchError
from loadtests.bench.other_commit import export_commit
from loadtests.bench.report import report_text
from loadtests.bench.turns import OTHER, OURS, ratio_of, take_turns


def make_bench(rounds: int) -> Any:
    return SimpleNamespace(scale=SimpleNamespace(turn_rounds=rounds), say=lambda text: None)


def test_the_order_is_reversed_in_every_second_round() -> None:
    order: list[str] = []

    def make_turn(name: str) -> Any:
        def turn() -> dict[str, float]:
            order.append(name)
            return {"rate": 1.0}

        return turn

    rounds = take_turns(
        make_bench(3), "post", {"a": make_turn("a"), "b": make_turn("b")}, settle=lambda: order.append("settled")
    )
    assert [name for name in order if name != "settled"] == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert order.count("settled") == 8
    assert [set(made) for made in rounds] == [{"a", "b"}] * 3
    assert all(figures["calibration_ms"] > 0 for made in rounds for figures in made.values())


def test_a_ratio_is_the_median_of_neighbouring_turns() -> None:
    rounds = [{OURS: {"rate": ours}, OTHER: {"rate": theirs}} for ours, theirs in ((100, 50), (10, 10), (30, 20))]
    assert ratio_of(rounds, OURS, "rate", to=OTHER) == 1.5
    assert ratio_of([{OURS: {"rate": 1}, OTHER: {"rate": 0}}], OURS, "rate", to=OTHER) is None


def test_the_calibration_takes_time() -> None:
    assert calibrate() > 1


def test_another_commit_is_copied_beside_this_one(tmp_path: Path) -> None:
    copy = export_commit("HEAD", target=tmp_path / "other")
    assert (copy / "manage.py").is_file()
    assert not (copy / ".git").exists()


@pytest.mark.parametrize("commit", ["no-such-commit", "--output=/nowhere"])
def test_a_commit_that_git_does_not_know_is_refused(commit: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=commit):
        export_commit(commit, target=tmp_path / "other")


def test_the_report_shows_a_line_for_each_system() -> None:
    figures = {"rate": 100.0, "cpu_us": 500.0, "mean_ms": 9.0, "p99_ms": 20.0, "failed": 0, "calibration_ms": 40.0}
    rounds = [{OURS: figures, OTHER: figures | {"rate": 50.0}}]
    section = {
        "measuredAt": "2026-11-26T12:00:00+00:00",
        "seconds": 60,
        "commit": "abc",
        "scale": "full",
        "othersCores": 0.0,
        "figures": {"post": rounds, "get": rounds, "drain": rounds},
    }
    text = report_text(figures={"sections": {"turns": section}}, plots={}, directory=Path("."))
    assert f"| {OTHER} | 50 | 500 | 2 | 1 | 9 | 20 | 0 | 40 | – |" in text
