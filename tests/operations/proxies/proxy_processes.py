"""Runs the examples of deploy/proxy with the real nginx and HAProxy, and sends requests through them.

The files are used unchanged, except for what docs/proxies.md tells to replace: host, certificate files and ports.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.started.servers import ServerError
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import free_port
from settings.env import ROOT

EXAMPLES = ROOT / "deploy" / "proxy"
HOST = "tasks.example.com"
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_UNIX_LINE = re.compile(r"^( *)server .*\n( *)# BIND=unix:/run/longtasks:  (server .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where web listens."""

    web: int = 0
    directory: str = ""  # of the unix sockets


@dataclass(slots=True)
class Answer:
    """The response; of a stream its first bytes."""

    status: int
    headers: http.client.HTTPMessage  # case-insensitive
    text: str
    cookies: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Door:
    """An address for requests: a proxy, or web itself."""

    http_port: int
    https_port: int = 0
    ca: str = ""

    def ask(
        self,
        method: str,
        path: str,
        *,
        tls: bool = True,
        address: str = "127.0.0.1",
        host: str = "",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send one request. With `stream`, read the first bytes and disconnect."""
        sock = socket.create_connection((address, self.https_port if tls else self.http_port), timeout=20)
        if tls:
            sock = ssl.create_default_context(cafile=self.ca).wrap_socket(sock, server_hostname=HOST)
        connection = http.client.HTTPConnection(HOST)
        connection.sock = sock
        try:
            connection.request(method, path, body, {"Host": host or self.host, **(headers or {})})
            response = connection.getresponse()
            content = response.read1() if stream and response.status == 200 else response.read()
            cookies = dict(
                line.partition(";")[0].split("=", 1) for line in response.headers.get_all("Set-Cookie") or []
            )
            return Answer(response.status, response.headers, content.decode(), cookies)
        finally:
            connection.close()

    @property
    def host(self) -> str:
        """The Host header of browsers."""
        return f"{HOST}:{self.https_port}" if self.https_port else HOST

    def accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.https_port), timeout=1).close()
        except OSError:
            return False
        return True


def make_certificate(directory: Path) -> None:
    """Create a self-signed certificate for HOST, in the files that the examples name."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
         "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", directory / "privkey.pem",
         "-out", directory / "fullchain.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    both = (directory / "fullchain.pem").read_text() + (directory / "privkey.pem").read_text()
    (directory / "haproxy.pem").write_text(both)


def fill(text: str, *, http_port: int, https_port: int, certificates: Path, upstream: Upstream) -> str:
    """Replace only what docs/proxies.md tells to replace."""
    if upstream.directory:
        text = _UNIX_LINE.sub(r"\1\3", text).replace("/run/longtasks", upstream.directory)
    text = text.replace("/etc/ssl/longtasks", str(certificates))
    ports = {80: http_port, 443: https_port, 3000: upstream.web}
    return re.sub(r"(?<=:)(80|443|3000)\b|(?<=listen )(80|443)\b", lambda at: str(ports[int(at[0])]), text)


@contextmanager
def run_proxy(example: str, *, directory: Path, certificates: Path, upstream: Upstream) -> Iterator[Door]:
    """Run an example for the duration of the block."""
    directory.mkdir()
    http_port, https_port = free_port(), free_port()
    text = fill(
        (EXAMPLES / example).read_text(),
        http_port=http_port, https_port=https_port, certificates=certificates, upstream=upstream,
    )  # fmt: skip
    configuration = directory / example
    configuration.write_text(text)
    command = [_find("haproxy"), "-db", "-f", str(configuration)]
    if example.startswith("nginx"):
        command = [_find("nginx"), "-p", str(directory), "-c", str(_write_main(directory, configuration))]
    door = Door(http_port, https_port, str(certificates / "fullchain.pem"))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        if not child_process.wait_until(door.accepts, deadline_seconds=20):
            raise ServerError(f"{example} does not run: {(directory / 'log').read_text()}")
        yield door
    finally:
        process.terminate()
        child_process.stop(process=process, grace_seconds=5)


def _write_main(directory: Path, configuration: Path) -> Path:
    """Write the relevant part of Debian's /etc/nginx/nginx.conf, with its files in the directory."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    main = directory / "main.conf"
    main.write_text(
        f"daemon off; user root; worker_processes 1; pid {directory}/pid; error_log stderr;\n"
        "events { worker_connections 128; }\n"
        f"http {{ access_log off; {temporary} include {configuration}; }}\n"
    )
    return main


def _find(program: str) -> str:
    found = shutil.which(program, path=PATH)
    if found is None:
        raise ServerError(f"{program} is not installed: .ci/packages test")
    return found
