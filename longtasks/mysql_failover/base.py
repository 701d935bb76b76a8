"""Django's MySQL backend with a list of hosts: connects to a healthy host, keeps it, and fails over to the next.

Owns the choice of the host. A healthy node responds, is in the primary component of its Galera cluster, and, if writes
are needed, accepts them (the primary, not a replica). Must not know what the database is used for.
"""

from __future__ import annotations

from typing import Any, Final

import MySQLdb
from django.db.backends.mysql import base

# Index of the last healthy host by host list. All connections of a process use it until it fails.
_chosen: Final[dict[tuple[tuple[str, int], ...], int]] = {}
NODE_IS_OUT: Final = 1047  # error code of a Galera node outside its cluster
NO_HOST: Final = 2003  # "can't connect"


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper; OPTIONS has `hosts`, and `takes_writes`, which excludes read-only hosts."""

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        self._hosts: tuple[tuple[str, int], ...] = tuple(params.pop("hosts"))
        self._takes_writes: bool = params.pop("takes_writes")
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        first = _chosen.get(self._hosts, 0)
        refusals = []
        error: Exception | None = None
        for step in range(len(self._hosts)):
            index = (first + step) % len(self._hosts)
            host, port = self._hosts[index]
            try:
                connection = super().get_new_connection({**conn_params, "host": host, "port": port})
            except MySQLdb.OperationalError as failure:
                error = failure
                refusals.append(f"{host}:{port} {failure.args[-1]}")
                continue
            refusal = _get_refusal(connection, takes_writes=self._takes_writes)
            if not refusal:
                _chosen[self._hosts] = index
                return connection
            connection.close()
            error = None
            refusals.append(f"{host}:{port} {refusal}")
        code = error.args[0] if error and error.args else NO_HOST
        raise MySQLdb.OperationalError(code, "no database host is healthy: " + "; ".join(refusals)) from error

    def is_usable(self) -> bool:
        """Return whether the connection is usable; after an error also check that its host is still healthy."""
        if not self.errors_occurred:
            return bool(super().is_usable())
        return bool(super().is_usable()) and not _get_refusal(self.connection, takes_writes=self._takes_writes)


def _get_refusal(connection: Any, *, takes_writes: bool) -> str:
    """Return why a host is not healthy; "" if it is. On a Galera node, make reads wait for other nodes' commits."""
    try:
        cursor = connection.cursor()
        # MariaDB without Galera returns OFF, MySQL no row.
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")
        is_galera = (cursor.fetchone() or ("", "OFF"))[1] == "ON"
        if is_galera:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep_ready'")
            if cursor.fetchone()[1] != "ON":
                return "is out of its cluster"
        cursor.execute("SELECT @@GLOBAL.read_only")
        if takes_writes and cursor.fetchone()[0]:
            return "is read-only"
        if is_galera:
            # The next statement must see commits that this process or its predecessor made on another node.
            # 3: SELECT, BEGIN, UPDATE and DELETE.
            cursor.execute("SET SESSION wsrep_sync_wait = 3")
        cursor.close()
    except MySQLdb.Error as error:
        return "is out of its cluster" if error.args and error.args[0] == NODE_IS_OUT else str(error)
    return ""
