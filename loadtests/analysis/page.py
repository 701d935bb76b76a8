"""Writes docs/load-test.md from the figures: the runs beside the document's, each figure explained, and what they say."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, Final

from loadtests.analysis import seed
from loadtests.analysis.arithmetic import BUSY, Costs, find_costs
from loadtests.analysis.terms import TERMS
from loadtests.analysis.verdicts import Interruption, find_run

TITLES: Final = {
    "six": "6 requests a second for ten seconds: the document's example, longer",
    "gradual": "2, 4, 6 and 8 requests a second, ten seconds each: the document's gradual load",
    "responsiveness": "2,000 requests a second for a minute: the document's goal",
}
FILES: Final = {
    "six": ("`loadtests/artillery/six_per_second.yaml`.",),
    "gradual": (
        "`loadtests/artillery/gradual.yaml`, character for character the document's.",
        "Artillery ends in an error on its loop, so it runs `loadtests/artillery/gradual_native.yaml`, the same load.",
    ),
    "responsiveness": ("`loadtests/artillery/responsiveness.yaml`, character for character the document's.",),
}
QUIET_CORES: Final = 0.3  # the system's own work on behalf of the load is in it


def to_page(figures: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = (
        _head(figures),
        _results(figures["runs"]),
        _meanings(figures["runs"]),
        _analysis(figures),
        _machine(figures),
    )
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _text(*sentences: str) -> str:
    return fill(" ".join(sentences), 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _bullet(title: str, *sentences: str) -> str:
    words = " ".join((f"- **{title}**", *sentences))
    return fill(words, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _head(figures: Mapping[str, Any]) -> Iterator[str]:
    machine = figures["machine"]
    versions = {name: machine["versions"][name] for name in ("Python", "gunicorn", "MariaDB", "Redis", "k6")}
    if figures["artillery"]:
        versions["Artillery"] = figures["artillery"]
    busy = max(figures["othersCores"], *(run.get("othersCores", 0.0) for run in figures["runs"]))
    yield "# A load test, analysed as the document does\n"
    yield _text(
        "Written by `make load-test` from docs/load-test.json; do not edit.",
        "The design document runs Artillery, explains its figures and judges them.",
        "This page does the same with this service, and sets the document's own figures beside.",
    )
    yield _text(
        f"**Machine**: {machine['cpu']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, {machine['system']};",
        f"an fsync takes {machine['fsyncMicroseconds']} µs.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "The whole service ran: two web processes, two workers, the mirror, MariaDB and Redis,",
        "which sync every commit to the disk; the load generator ran on the same cores.",
        f"Begun {figures['measuredAt']}, commit {figures['commit']}, {figures['seconds']} s in all.",
        f"**Something else kept up to {busy:.1f} cores busy meanwhile, so the times are too long.**"
        if busy > QUIET_CORES
        else "Nothing else was at work.",
    )
    if not figures["artillery"]:
        yield _text("Artillery was not installed: k6 alone ran its files, and gives figures of the same names.")


def _results(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Results\n"
    for load, title in TITLES.items():
        columns = {f"here, by {run['tool']}": run for run in runs if run["load"] == load}
        if load == "six":
            columns = {"the document": seed.RUN, **columns}
        yield f"### {title}\n"
        yield _text("File:", *FILES[load], "Each request is a `POST /tasks` with the document's body.")
        yield f"| figure | {' | '.join(columns)} |"
        yield f"|---|{'--:|' * len(columns)}"
        for term in TERMS:
            yield f"| `{term.name}` | {' | '.join(term.read(run) for run in columns.values())} |"
        others = {name for run in columns.values() for name in run["counters"]} - {term.name for term in TERMS}
        for name in sorted(others):
            if name.startswith(("http.codes.", "errors.")):
                counts = [f"{run['counters'].get(name, 0):,}" for run in columns.values()]
                yield f"| `{name}` | {' | '.join(counts)} |"
        yield ""
        for run in columns.values():
            if not run.get("ended", True):
                yield _text(
                    f"{run['tool']} had not ended after {run['seconds']:.0f} s and was interrupted: its counts are those",
                    "until then, and its times, which it gives at the end, are missing. It is one process of Node.js,",
                    "and creates virtual users as fast as its one core allows; one that has no answer after ten seconds",
                    "is an `errors.ETIMEDOUT`.",
                )


def _meanings(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    six = find_run(runs, "six")
    yield "## What each figure means\n"
    yield "| figure | what it is | at 6 a second here, by k6 |"
    yield "|---|---|--:|"
    for term in TERMS:
        yield f"| `{term.name}` | {term.meaning} | {term.read(six)} |"
    yield ""
    yield _text(
        "Artillery rounds response times to milliseconds and takes percentiles from groups of similar values;",
        "k6 keeps tenths of a millisecond and interpolates. So the two differ a little on the same load.",
    )


def _analysis(figures: Mapping[str, Any]) -> Iterator[str]:
    verdict = Interruption(figures)
    yield "## Analysis of the result\n"
    yield _bullet("Codes.", *verdict.codes())
    yield _bullet("Rate.", *verdict.rate())
    yield _bullet("Response time.", *verdict.response_time())
    yield _bullet("Gradual load.", *verdict.gradual_load())
    yield _bullet("2,000 a second.", *verdict.goal_load())
    yield _bullet("Session length.", *verdict.session_length())
    yield ""


def _machine(figures: Mapping[str, Any]) -> Iterator[str]:
    goal = find_run(figures["runs"], "responsiveness")
    costs = find_costs(goal, figures["drain"])
    yield "## The document's machine\n"
    yield _text(
        f"**Arithmetic, not measured.** The document's machine is an {seed.CPU}: {seed.CORES} cores, 8 GB, an SSD.",
        "The costs below were measured here: that of a POST in the run at 2,000 a second,",
        f"that of a task with {figures['drain']['tasks']:,} tasks and no other load.",
        "The arithmetic takes one of its cores for one of ours, and a load generator on another machine.",
    )
    yield f"| CPU of | one POST, µs | its task of 100 records, µs | cores at {seed.GOAL_RATE:,} a second |"
    yield "|---|--:|--:|--:|"
    for part in ("web", "redis", "worker", "mirror", "mariadb"):
        post, task = costs.post.get(part, 0), costs.task.get(part, 0)
        yield f"| {part} | {post:,.0f} | {task:,.0f} | {seed.GOAL_RATE * (post + task) / 1e6:.1f} |"
    post, task = sum(costs.post.values()), sum(costs.task.values())
    yield f"| all | {post:,.0f} | {task:,.0f} | {costs.cores(rate=seed.GOAL_RATE, with_tasks=True):.1f} |"
    yield ""
    yield from _conclusions(costs, memory_mib=sum(goal["memoryMib"].values()), hosts=figures["severalHosts"])


def _conclusions(costs: Costs, *, memory_mib: float, hosts: Mapping[str, int]) -> Iterator[str]:
    accept = costs.cores(rate=seed.GOAL_RATE, with_tasks=False)
    both = costs.cores(rate=seed.GOAL_RATE, with_tasks=True)
    enough = f"{seed.CORES} are enough" if accept / BUSY <= seed.CORES else f"{seed.CORES} are too few"
    yield _bullet(
        f"Accepting {seed.GOAL_RATE:,} POSTs a second",
        f"is {accept:.1f} cores of work. Answers stay quick while cores are {BUSY:.0%} busy,",
        f"so it takes {accept / BUSY:.1f}: {enough}.",
        f"{seed.CORES} cores accept {costs.rate(with_tasks=False):,.0f} a second.",
    )
    yield _bullet(
        "Doing the tasks at that rate as well",
        f"takes {both / BUSY:.1f} cores. {seed.CORES} cores accept and finish {costs.rate(with_tasks=True):,.0f} tasks",
        "of 100 records (300 rows) a second. What comes faster waits in the queue.",
    )
    yield _bullet(
        "Memory.",
        f"All processes held {memory_mib:,.0f} MiB at the end of the run at 2,000 a second,",
        f"{memory_mib / seed.MEMORY_MIB:.0%} of 8 GB.",
    )
    yield _bullet(
        "Several hosts.",
        "Where each part runs on hosts of its own, a POST costs more: with the costs of [scaling.md](scaling.md),",
        f"{hosts['web']:,} µs of web and {hosts['redisOfPost']:,} of Redis,",
        f"{seed.CORES} cores accept {seed.CORES * BUSY * 1e6 / (hosts['web'] + hosts['redisOfPost']):,.0f} a second.",
    )
