"""The containers' commands and probes of compose.yaml and the manifests, run without Docker.

They run as the same user, without rights, on a read-only root file system with the same mounts and the variables of
compose. Requests reach web as they do there: from the gateway of compose's network, and by a pod's address.
"""

import json
import re
import time
from collections.abc import Generator
from functools import partial
from typing import Any

import pytest
import yaml

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from longtasks.local_stack.child_process import wait_until
from longtasks.local_stack.procfile import read_procfile
from settings.env import ROOT, list_variables
from tests.operations.compose import COMPOSE_PATH, read_compose
from tests.operations.namespaces import Namespaces, why_not

PASSWORD = "p@s/s#w%o$r:d?&+=\"'\\ x$$"
GATEWAY = "172.31.251.1"
DATABASE_NAME = "containers"
SHELL = {
    "SECRET_KEY": "s3cr$t-%" * 8,
    "ALLOWED_HOSTS": "longtasks.example.com",
    "MARIADB_PASSWORD": PASSWORD,
    "DATABASE_URL": f"mysql://longtasks@localhost/{DATABASE_NAME}?unix_socket=/run/mariadb/s",
    "REDIS_URL": "unix:///run/redis/s?db=0",
    "LEASE_SECONDS": "2",
}
SERVICES = (*read_procfile(), "cron")
# Runs in the containers' network: status, and the target of a redirect.
ASK = """
import http.client, json, sys
asked = json.loads(sys.argv[1])
client = http.client.HTTPConnection(asked["to"], asked["port"], timeout=20, source_address=(asked["source"], 0))
client.request(asked["method"], asked["path"], body=asked["body"], headers=asked["headers"])
answer = client.getresponse()
print(json.dumps([answer.status, answer.getheader("Location"), answer.read().decode()]))
"""
CAN_RUN = pytest.mark.skipif(IS_EMBEDDED or bool(why_not()), reason=why_not() or "production wants MariaDB")


class Containers:
    """The services of compose.yaml in namespaces, on the test's MariaDB and their own Redis."""

    def __init__(self, namespaces: Namespaces, services: dict[str, Any]) -> None:
        self.namespaces = namespaces
        self.services = services

    def run(self, service: str, *words: str) -> str:
        """Run a command in a service's container; return what it prints. It must succeed."""
        done = self.namespaces.run(words, self.services[service]["environment"])
        assert done.returncode == 0, f"{service}: {' '.join(words)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def ask(
        self, path: str, *, host: str = "longtasks.example.com", source: str = "127.0.0.1", method: str = "GET",
        body: str | None = None, **headers: str,
    ) -> Any:  # fmt: skip
        asked = {
            "to": "127.0.0.1", "port": 3000, "source": source, "method": method, "path": path, "body": body,
            "headers": {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}},
        }  # fmt: skip
        return json.loads(self.run("web", "python", "-c", ASK, json.dumps(asked)))

    def is_healthy(self, service: str) -> bool:
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.namespaces.run(words, self.services[service]["environment"]).returncode == 0


@pytest.fixture(scope="module")
def containers(servers: tuple[Database, RedisServer]) -> Generator[Containers, None, None]:
    database, _ = servers
    database.create_database(DATABASE_NAME)
    database.query("", "CREATE OR REPLACE USER longtasks@localhost IDENTIFIED BY %s", (PASSWORD,))
    database.query("", f"GRANT ALL ON {DATABASE_NAME}.* TO longtasks@localhost")
    services = read_compose(SHELL)
    web = services["web"]
    redis = RedisServer()
    namespaces = None
    try:
        redis.start()
        redis.socket_path.chmod(0o777)
        namespaces = Namespaces(
            user=web["user"],
            tmpfs=web["tmpfs"],
            sockets={"/run/mariadb/s": database.directory / "s", "/run/redis/s": redis.socket_path},
            addresses=(GATEWAY,),
        )
        made = Containers(namespaces, services)
        made.run("migrate", *services["migrate"]["command"])
        for name in SERVICES:
            namespaces.start(name, services[name]["command"], services[name]["environment"])
        yield made
    finally:
        if namespaces is not None:
            namespaces.close()
        redis.remove()
        database.query("", "DROP USER IF EXISTS longtasks@localhost")


@CAN_RUN
@pytest.mark.parametrize("service", SERVICES)
def test_every_health_check_of_compose_passes(containers: Containers, service: str) -> None:
    if "healthcheck" not in containers.services[service]:
        assert service in ("webhooks", "cron")  # which depend on nothing that could hang
        pytest.skip("compose.yaml checks no health here")
    assert wait_until(lambda: containers.is_healthy(service), deadline_seconds=60, pause_seconds=0.3), (
        containers.namespaces.log(service)
    )


@CAN_RUN
@pytest.mark.parametrize("role", read_procfile())
def test_every_probe_of_kubernetes_passes(containers: Containers, role: str) -> None:
    deployment = yaml.safe_load((ROOT / "deploy" / "kubernetes" / f"{role}.yaml").read_text().split("\n---\n")[0])
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in container.get("ports", ())}

    def passes(probe: dict[str, Any]) -> bool:
        if "exec" in probe:
            environment = containers.services[role]["environment"]
            return containers.namespaces.run(probe["exec"]["command"], environment).returncode == 0
        if "tcpSocket" in probe:
            port = ports[probe["tcpSocket"]["port"]]
            words = ["python", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 3)"]
            return containers.namespaces.run(words, {}).returncode == 0
        assert ports[probe["httpGet"]["port"]] == 3000
        assert "httpHeaders" not in probe["httpGet"]
        return (
            200 <= containers.ask(probe["httpGet"]["path"], host="10.244.1.17:3000")[0] < 400
        )  # as the kubelet sends it

    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if name in container:
            assert wait_until(partial(passes, container[name]), deadline_seconds=60, pause_seconds=0.3), (
                f"{name}\n{containers.namespaces.log(role)}"
            )
    [waiting] = pod["initContainers"]
    containers.run(role, *waiting["args"])  # ends, because the migrations are applied


@CAN_RUN
def test_a_task_runs_for_a_client_behind_the_proxy_of_this_machine(containers: Containers) -> None:
    """The proxy terminates TLS and reaches web from the network's gateway, the only peer trusted by default."""
    assert wait_until(lambda: containers.is_healthy("web"), deadline_seconds=60, pause_seconds=0.3)
    output = containers.run("web", "python", "manage.py", "token", "create", "ann", "--scope", "admin")
    token = re.search(r"lt_[\w-]{20,}", output)
    assert token, output
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "203.0.113.7", "Authorization": f"Bearer {token[0]}"}

    status, location, _ = containers.ask("/queues", source="127.0.0.1", **forwarded)
    assert (status, location) == (403, None)  # a token over plain http is refused and not redirected
    task = json.dumps({"name": "upload", "params": {"numRecords": 50}})
    status, _, answered = containers.ask(
        "/tasks", source=GATEWAY, method="POST", body=task, Content_Type="application/json", **forwarded
    )
    assert status == 201, answered
    task_id = json.loads(answered)["id"]
    status, _, answered = containers.ask(f"/tasks/{task_id}?wait=20", source=GATEWAY, **forwarded)
    assert (status, json.loads(answered)["status"]) == (200, "finished"), containers.namespaces.log("worker")
    status, _, answered = containers.ask("/metrics", host="10.244.1.17:3000", Authorization=f"Bearer {token[0]}")
    assert status == 200
    assert "longtasks_tasks_accepted_total" in answered
    assert containers.ask("/metrics", host="10.244.1.17:3000")[0] == 401


@CAN_RUN
def test_sigterm_ends_every_container_within_its_grace_period(containers: Containers) -> None:
    """The last test of the file, because it stops all containers."""
    assert wait_until(lambda: containers.is_healthy("web"), deadline_seconds=60, pause_seconds=0.3)
    began = time.monotonic()
    for name in SERVICES:
        process = containers.namespaces.process(name)
        assert process.poll() is None, containers.namespaces.log(name)
        process.terminate()
    for name in SERVICES:
        grace = float(containers.services[name]["stop_grace_period"].removesuffix("s"))
        status = containers.namespaces.process(name).wait(timeout=max(1, began + grace - time.monotonic()))
        assert status == 0, (name, status, containers.namespaces.log(name))


def test_every_variable_reaches_the_containers() -> None:
    """Every variable in the environment of compose reaches each container unchanged."""
    # The port inside is the container's own; PORT is the port of the machine.
    own = {"BIND": "0.0.0.0", "PORT": "3000", "DATA_DIR": "/var/lib/longtasks", "FILE_DIR": "/var/lib/longtasks-files"}
    names = {variable.name for variable in list_variables()} - own.keys() - {"DATABASE_PASSWORD"}
    values = {name: f"{name} $x $$ ${{y}} '\" %" for name in names} | {"MARIADB_PASSWORD": PASSWORD, "PORT": "8080"}
    services = read_compose(values)
    for name in (*SERVICES, "migrate"):
        environment = services[name]["environment"]
        assert {each: environment.get(each) for each in names} == {each: values[each] for each in names}
        assert environment["DATABASE_PASSWORD"] == PASSWORD
        assert environment.items() >= own.items()
    assert services["web"]["ports"] == ["127.0.0.1:8080:3000"]


def test_unset_variables_keep_their_default() -> None:
    needed = {"SECRET_KEY": "x", "ALLOWED_HOSTS": "x", "MARIADB_PASSWORD": "x"}
    environment = read_compose(needed)["web"]["environment"]
    assert environment["DATABASE_URL"] == "mysql://longtasks@mariadb:3306/longtasks"
    assert "" not in environment.values()
    for name in needed:
        with pytest.raises(ValueError, match=f"required variable {name}"):
            read_compose({each: "x" for each in needed if each != name})


def test_containers_have_the_least_privileges() -> None:
    services = read_compose({"SECRET_KEY": "x", "ALLOWED_HOSTS": "x", "MARIADB_PASSWORD": "x"})
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.search(r":\d+\.\d+\.\d+$", service["image"]) or "build" in service, name  # a fixed version
        if "build" in service:
            assert service["read_only"] is True, name
            assert service["user"] == "10001:10001", name
            assert service["mem_limit"], name
    [network] = yaml.safe_load(COMPOSE_PATH.read_text())["networks"]["default"]["ipam"]["config"]
    assert services["web"]["environment"]["FORWARDED_ALLOW_IPS"] == network["gateway"] == GATEWAY
