"""Door: the command line. Odd arguments of `task`, `queue`, `token`: an exit code, a message, and never a traceback."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.hostile.drawing import draw
from tests.hostile.insider import CommandResult
from tests.hostile.world import World

DOOR = "CLI"
SECONDS = 5.0
CODES = frozenset(range(8))
_ID = "00000000-0000-7000-8000-000000000000"
_BY_HAND: list[list[str]] = [
    ["task"],
    ["task", "start"],
    ["task", "start", ""],
    ["task", "start", "nope"],
    ["task", "start", "upload", "--records", "-1"],
    ["task", "start", "upload", "--records", "9" * 400],
    ["task", "start", "upload", "--records", "9" * 5_000],
    ["task", "start", "upload", "--records", "1.5"],
    ["task", "start", "upload", "--params", "["],
    ["task", "start", "upload", "--params", "[]"],
    ["task", "start", "upload", "--params", "[" * 5_000],
    ["task", "start", "upload", "--params", '{"numRecords": NaN}'],
    ["task", "start", "upload", "--params", '{"numRecords": 1, "numRecords": 2}'],
    ["task", "start", "upload", "--params", '{"a\\ud800": 1}'],
    ["task", "start", "upload", "--records", "1", "--description", "🎉" * 255],
    ["task", "start", "upload", "--records", "1", "--description", "🎉" * 256],
    ["task", "start", "upload", "--records", "1", "--description", "caf\udce9"],
    ["task", "start", "caf\udce9"],
    ["task", "start", "upload", "--records", "1", "--wait", "--json"],
    ["task", "start", "odd_total", "--params", '{"recipe": "[\\"int\\", \\"-1\\"]"}'],
    ["task", "start", "odd_total", "--params", '{"recipe": "[\\"raise\\", [\\"SystemExit\\", 0]]"}'],
    ["task", "status", ""],
    ["task", "status", "x"],
    ["task", "status", "caf\udce9"],
    ["task", "status", _ID],
    ["task", "status", "9" * 3_000],
    ["task", "cancel", _ID],
    ["task", "cancel", "caf\udce9"],
    ["task", "retry", "'; --"],
    ["task", "reschedule", "x", "--at", "9999-12-31T23:59:59-14:00"],
    ["task", "verify", "x"],
    ["task", "verify", "caf\udce9"],
    ["task", "list", "--limit", "0"],
    ["task", "list", "--limit", "99999999999999999999"],
    ["task", "list", "--name", "caf\udce9"],
    ["task", "list", "--name", "🎉" * 100, "--json"],
    ["task", "list", "--status", "gone"],
    ["queue", "pause", "nope"],
    ["queue", "resume", "low", "--reason", "caf\udce9"],
    ["queue", "pause", "low", "--reason", "🎉" * 255],
    ["queue", "pause", "low", "--reason", "x" * 256],
    ["queue", "pause", "low", "--reason", "caf\udce9"],
    ["token", "create", ""],
    ["token", "create", "x" * 65],
    ["token", "create", "caf\udce9"],
    ["token", "create", "🎉" * 64, "--note", "n" * 3_000],
    ["token", "create", "a", "--expires-in", "99999w"],
    ["token", "create", "a", "--expires-in", "0d"],
    ["token", "create", "a", "--note", "caf\udce9"],
    ["token", "list", "--owner", "caf\udce9"],
    ["token", "revoke", "9" * 30],
    ["token", "revoke", "-1"],
    ["doctor"],
    ["queues"],
    ["prune", "--days", "nan"],
]
_texts = st.text(st.characters(exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["--json", "-", "--", "@x", "caf\udce9"]
)
_records = st.integers(-3, 20).map(str) | _texts
_arguments = st.one_of(
    st.tuples(st.just("task"), st.sampled_from(["status", "cancel", "retry", "failures", "verify"]), _texts).map(list),
    st.tuples(st.just("task"), st.just("start"), st.just("upload") | _texts, st.just("--records"), _records).map(list),
    st.tuples(st.just("task"), st.just("start"), st.just("upload"), st.just("--params"), _texts).map(list),
    st.tuples(*map(st.just, ("task", "start", "upload", "--records", "1", "--description")), _texts).map(list),
    st.tuples(st.just("task"), st.just("list"), st.sampled_from(["--name", "--limit", "--status"]), _texts).map(list),
    st.tuples(st.just("queue"), st.just("resume"), _texts).map(list),
    st.tuples(st.just("token"), st.just("create"), _texts, st.just("--note"), _texts).map(list),
    st.tuples(st.just("token"), st.sampled_from(["revoke", "list", "create"]), _texts).map(list),
)


def run(world: World, *, number: int) -> None:
    """Run `number` commands in one process with Django."""
    drawn = draw(_arguments, number=max(0, number - len(_BY_HAND)), seed_number=world.seed)
    for arguments in (_BY_HAND + drawn)[: max(number, len(_BY_HAND))]:
        if {"-h", "--help", "--version"} & set(arguments):
            continue
        result = world.insider.command(*arguments)
        if arguments[:2] == ["queue", "pause"] and result.code == 0:
            world.insider.command("queue", "resume", arguments[2])
        wrong = _find_wrong(result)
        if wrong:
            seen = f"{result.code}: …{(result.traceback or result.output)[-400:]}"
            world.tally.fault(DOOR, wrong, given=arguments, seen=seen)
        else:
            world.tally.note(DOOR, "done" if result.code == 0 else "refused")


def _find_wrong(result: CommandResult) -> str:
    if result.traceback or "Traceback (most recent call last)" in result.output:
        return "a traceback"
    if result.code not in CODES:
        return f"ends with code {result.code}"
    if result.code and not result.output.strip():
        return "refuses without a word"
    return "takes long" if result.seconds > SECONDS else ""
