"""With a replica ten seconds behind, a client never sees its task missing or going backwards; lists may lag.

The jobs of ended tasks leave Redis after two seconds here, long before the replica has their end.
"""

import time
from collections.abc import Generator

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, MariaDB, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import free_port

pytestmark = [pytest.mark.slow, pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no replicas")]
LAG_SECONDS = 10


class Replicated(MariaDB):
    """mariadbd as a primary or as a replica."""

    def __init__(self, *, number: int) -> None:
        super().__init__()
        self.number = number
        self.port = free_port()

    def _command(self) -> list[str]:
        options = [option for option in super()._command() if option != "--skip-networking"]
        networking = ["--bind-address=127.0.0.1", f"--port={self.port}", f"--server-id={self.number}"]
        return [*options, *networking, "--log-bin=binlog", "--binlog-format=ROW", "--skip-slave-start"]

    def follow(self, primary: "Replicated") -> None:
        self.query(
            "",
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={primary.port}, master_user='replica', "
            "master_password='replica', master_use_gtid=slave_pos",
        )
        self.query("", "START SLAVE")

    def fall_behind(self, seconds: int) -> None:
        self.query("", "STOP SLAVE")
        self.query("", f"CHANGE MASTER TO master_delay={seconds}")
        self.query("", "START SLAVE")


@pytest.fixture(scope="module")
def replica() -> Generator[Replicated, None, None]:
    server = Replicated(number=2)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def lagging(servers: tuple[Database, RedisServer], replica: Replicated) -> Generator[ProcfileStack, None, None]:
    """Run web, workers and mirror with the replica for reads."""
    primary = Replicated(number=1)
    stack = ProcfileStack(
        database=primary, redis_server=servers[1], environment={"RESULT_TTL_SECONDS": "2", "WEB_WORKERS": "2"}
    )
    stack.environment["DATABASE_READ_URL"] = replica.url(stack.database_name)
    try:
        primary.start()
        replica.start()
        primary.query("", "GRANT REPLICATION SLAVE ON *.* TO 'replica'@'127.0.0.1' IDENTIFIED BY 'replica'")
        replica.follow(primary)
        stack.start()
        known = "SELECT COUNT(*) FROM django_migrations"
        stack.wait_for(
            lambda: knows_database(replica, stack) and replica.query(stack.database_name, known) == stack.sql(known),
            deadline_seconds=30,
            what=lambda: f"the replica follows: {replica.query('', 'SHOW SLAVE STATUS')}",
        )
        replica.fall_behind(LAG_SECONDS)
        yield stack
    finally:
        stack.close()
        primary.remove()


def knows_database(replica: Replicated, stack: ProcfileStack) -> bool:
    wanted = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'django_migrations'"
    return bool(replica.query("", wanted, (stack.database_name,)))


def replica_status(replica: Replicated, stack: ProcfileStack, task_id: str) -> str:
    rows = replica.query(stack.database_name, "SELECT status FROM tasks_app_taskrecord WHERE id = %s", (task_id,))
    return str(rows[0][0]) if rows else ""


def test_a_client_never_sees_its_task_missing_or_going_back(lagging: ProcfileStack, replica: Replicated) -> None:
    assert lagging.post("/queues/low/pause").status == 200
    canceled = lagging.start_upload(records=1)
    assert lagging.post(f"/tasks/{canceled}/cancel").json["status"] == "canceled"

    followed = lagging.start_upload(records=3000, priority="high")
    ended_at, last, unseen_by_replica = 0.0, ("", -1), False
    deadline = time.monotonic() + 60
    # Until after the replica has received the end, however late that is.
    while (
        not ended_at
        or time.monotonic() - ended_at < LAG_SECONDS + 2
        or replica_status(replica, lagging, followed) != "finished"
    ):
        assert time.monotonic() < deadline, f"it does not end: {last}"
        task = lagging.task(followed)  # asserts the 200
        now = (task["status"], task["progress"]["done"])
        assert now[0] in ("queued", "started", "finished")
        assert now[1] >= last[1], f"{now} came after {last}"
        assert now[0] == "finished" or last[0] != "finished", f"{now} came after {last}"
        last = now
        if now[0] == "finished":
            ended_at = ended_at or time.monotonic()
            job_is_gone = not lagging.redis().exists(f"rq:job:{followed}")
            unseen_by_replica |= job_is_gone and not replica_status(replica, lagging, followed)
    assert last == ("finished", 3000)
    assert unseen_by_replica, "the replica was never behind: this test proved nothing"

    # The replica has the cancel by now, and will have the retry only in ten seconds.
    assert replica_status(replica, lagging, canceled) == "canceled"
    assert lagging.post("/queues/low/resume").status == 200
    assert lagging.post(f"/tasks/{canceled}/retry").status == 202
    seen = [lagging.task(canceled)["status"]]
    while lagging.redis().exists(f"rq:job:{canceled}"):
        assert time.monotonic() < deadline + 30, f"its job does not leave Redis: {seen[-1]}"
        seen.append(lagging.task(canceled)["status"])
    seen.append(lagging.task(canceled)["status"])
    assert "canceled" not in seen
    assert seen[-1] == "finished"
    assert replica_status(replica, lagging, canceled) == "canceled", "too slow: this test proved nothing"


def test_lists_come_from_the_replica_or_else_from_the_primary(lagging: ProcfileStack, replica: Replicated) -> None:
    task_id = lagging.start_upload(records=1)
    assert lagging.get(f"/tasks/{task_id}?wait=20").json["status"] == "finished"

    def listed() -> list[str]:
        return [task["id"] for task in lagging.get("/tasks?limit=5").json["tasks"]]

    assert task_id not in listed(), "the list was not the replica's"
    replica.kill()
    lagging.wait_for(lambda: task_id in listed(), deadline_seconds=10, what="the list is the primary's")
    assert lagging.task(task_id)["status"] == "finished"
