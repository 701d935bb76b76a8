"""The duration, number and size of each measurement's runs. Must not: measure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The limits of one run of the bench, used by every loop, fill and k6 run."""

    name: str
    runs: int  # of every figure
    readable_tasks: int  # requested by the GETs
    k6_seconds: int
    k6_rate: int
    first_rate: int  # of max_rate: first step, step, last step, seconds of each
    step_rate: int
    last_rate: int
    hold_seconds: int
    cell_seconds: float  # the intended duration of a cell of the drain
    probe_seconds: float  # the run that determines the number of tasks
    most_tasks: int  # of a cell
    sizes: tuple[int, ...]  # records per task
    once_from: int  # sizes from here on run once
    workers: tuple[int, ...]
    peer_sizes: tuple[int, ...]
    peer_most_tasks: int
    load_data_records: int
    stage_rounds: int
    stage_calls: int
    profiled_tasks: int  # of one record
    profiled_records: int  # of one task
    waiting_tasks: int
    critical_seconds: int
    flood_rate: int
    flood_records: int
    arrival_seconds: int  # POSTs by h2load
    arrival_rate: int
    sustained_seconds: int
    sustained_rate: int
    hung_seconds: int  # of Redis
    reload_rate: int
    reloads: int
    turn_rounds: int  # of the comparison in turns
    turn_seconds: int
    turn_tasks: int  # of ten records, in a turn of the drain


FULL = Scale(
    name="full",
    runs=3,
    readable_tasks=1000,
    k6_seconds=60,
    k6_rate=2000,
    first_rate=400,
    step_rate=100,
    last_rate=4000,
    hold_seconds=10,
    cell_seconds=5.0,
    probe_seconds=1.0,
    most_tasks=40_000,
    sizes=(1, 10, 100, 1000, 10_000, 100_000, 1_000_000),
    once_from=1_000_000,
    workers=(1, 2, 4),
    peer_sizes=(1, 10, 100, 1000, 10_000),
    peer_most_tasks=5000,
    load_data_records=100_000,
    stage_rounds=15,
    stage_calls=300,
    profiled_tasks=5000,
    profiled_records=100_000,
    waiting_tasks=50_000,
    critical_seconds=60,
    flood_rate=50,
    flood_records=1000,
    arrival_seconds=60,
    arrival_rate=2000,
    sustained_seconds=60,
    sustained_rate=1000,
    hung_seconds=10,
    reload_rate=500,
    reloads=3,
    turn_rounds=10,
    turn_seconds=2,
    turn_tasks=1500,
)

# Everything once and as small as possible: shows that the bench runs, measures nothing useful.
QUICK = Scale(
    name="quick",
    runs=1,
    readable_tasks=20,
    k6_seconds=2,
    k6_rate=50,
    first_rate=20,
    step_rate=20,
    last_rate=40,
    hold_seconds=1,
    cell_seconds=0.2,
    probe_seconds=0.0,
    most_tasks=20,
    sizes=(1, 100, 1000),
    once_from=1000,
    workers=(2,),
    peer_sizes=(1, 100),
    peer_most_tasks=5,
    load_data_records=1000,
    stage_rounds=3,
    stage_calls=20,
    profiled_tasks=50,
    profiled_records=1000,
    waiting_tasks=1000,
    critical_seconds=2,
    flood_rate=5,
    flood_records=100,
    arrival_seconds=3,
    arrival_rate=100,
    sustained_seconds=3,
    sustained_rate=20,
    hung_seconds=3,
    reload_rate=50,
    reloads=1,
    turn_rounds=2,
    turn_seconds=1,
    turn_tasks=20,
)
