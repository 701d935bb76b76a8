"""What the bench computes and reads: medians, slopes, the size of cells, wrk's output, deploy/'s recommendations."""

import pytest

from loadtests.bench.cells import cell_tasks, guess_rate
from loadtests.bench.errors import BenchError
from loadtests.bench.figures import median_of, number, percentile, ratio, with_spread
from loadtests.bench.ground import mariadb_options
from loadtests.bench.scale import FULL, QUICK
from loadtests.bench.sustained import backlog_figures, each_second
from loadtests.bench.wrk import parse_wrk

RUNS = [{"rate": 900}, {"rate": 2540}, {"rate": 1000}]


def test_the_median_is_shown_with_its_spread() -> None:
    assert median_of(RUNS, "rate") == 1000
    assert with_spread(RUNS, "rate") == "1,000 (900–2,540)"
    assert with_spread(RUNS[:1], "rate") == "900"
    assert with_spread([], "rate") == "–"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (0.01234, "0.0123"), (9.7, "9.7"), (182.6, "183"), (5452, "5,450"), (240_123, "240,000")],
)
def test_numbers_have_three_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_there_is_no_ratio_without_both_sides() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(3.0, None) is ratio(None, 2.0) is ratio(3.0, 0) is None


def test_a_percentile_is_a_measured_value() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert percentile([], 0.99) is None


def test_a_backlog_that_grows_is_seen() -> None:
    steady = [(float(second), 10.0) for second in range(60)]
    growing = [(second, waiting + max(0.0, (second - 30) * 20)) for second, waiting in steady]
    assert backlog_figures(steady) == {"backlog_max": 10, "backlog_end": 10, "backlog_first": 10, "backlog_last": 10}
    assert backlog_figures(growing)["backlog_first"] == 10
    assert backlog_figures(growing)["backlog_last"] == 10 + 20 * 19.5


def test_a_backlog_is_shown_once_a_second() -> None:
    assert each_second([(0.0, 1.0), (0.95, 5.0), (1.05, 2.0), (3.0, 4.0)]) == [(0.0, 1.0), (1.05, 2.0), (3.0, 4.0)]


def test_every_worker_has_as_many_tasks() -> None:
    assert cell_tasks(rate=1000, seconds=5, workers=4, most=100_000) == 5000
    assert cell_tasks(rate=0.1, seconds=5, workers=4, most=100) == 4
    assert cell_tasks(rate=1e6, seconds=5, workers=4, most=10) == 8
    assert guess_rate(records=1) > guess_rate(records=1000) > 0


def test_the_full_scale_measures_what_was_asked() -> None:
    assert FULL.runs >= 3
    assert set(FULL.sizes) == {1, 10, 100, 1000, 10_000, 100_000, 1_000_000}
    assert set(FULL.workers) == {1, 2, 4}
    assert (FULL.k6_rate, FULL.k6_seconds, FULL.sustained_rate, FULL.sustained_seconds) == (2000, 60, 1000, 60)
    assert QUICK.k6_seconds < FULL.k6_seconds


def test_wrks_figures_are_read() -> None:
    line = '{"requests":1000,"seconds":2.0,"failed":3,"unanswered":1,"mean_ms":12.5,"median_ms":11.0,"p99_ms":40.0}'
    figures = parse_wrk(f"Running 2s test\n  Thread Stats\n{line}\n")
    assert (figures["rate"], figures["failed"], figures["mean_ms"]) == (500, 4, 12.5)
    with pytest.raises(BenchError, match="wrk printed no figures"):
        parse_wrk("unable to connect")


def test_mariadb_runs_as_deploy_recommends() -> None:
    options = mariadb_options()
    assert "--innodb-flush-log-at-trx-commit=1" in options
    assert "--default-time-zone=+00:00" in options
