"""Decides what caused a database error: the statement (the attempt fails) or the database (the caller waits and retries).

Owns the rule: errors of integrity, data, syntax, permission and size come from the statement, all others from the
database. Must not wait, retry or decide anything about tasks.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from django.db import DataError, Error, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError

_OWN_CLASSES: Final = (IntegrityError, DataError, ProgrammingError, NotSupportedError)


def _codes(*entries: int | tuple[int, int]) -> frozenset[int]:
    single = {entry for entry in entries if isinstance(entry, int)}
    return frozenset(single.union(*(range(entry[0], entry[1] + 1) for entry in entries if isinstance(entry, tuple))))


# Codes of MySQL and MariaDB that the driver raises as OperationalError although the statement is wrong: their SQLSTATE
# class is 21, 22, 23, 42 or 0A, or they concern what the statement requested. A code in neither list counts as the
# database's, but only for SUSPECT_SECONDS. https://mariadb.com/kb/en/mariadb-error-code-reference/
STATEMENT_CODES: Final = _codes(
    (1005, 1008),
    1022,
    1048,
    (1050, 1052),
    (1054, 1075),
    (1082, 1084),
    1090,
    1091,
    1093,
    (1096, 1104),
    (1106, 1113),
    (1115, 1118),
    (1120, 1125),
    1128,
    (1136, 1144),
    (1146, 1149),
    1153,  # the statement is larger than max_allowed_packet
    (1162, 1179),
    1193,
    1210,
    1211,
    (1215, 1217),
    (1221, 1222),
    (1227, 1235),
    (1239, 1250),
    1252,
    1253,
    1260,
    (1263, 1273),
    1286,
    1288,
    (1291, 1294),
    (1298, 1316),
    (1318, 1339),
    (1346, 1367),
    1369,
    1370,
    1390,
    1406,
    (1409, 1411),
    (1413, 1427),
    (1436, 1442),
    (1451, 1452),
    1463,
    (1525, 1526),
    (1557, 1558),
    (1581, 1586),
    1644,  # SIGNAL of a trigger or procedure
    1690,
    1748,
    1761,
    (1901, 1907),
    2020,  # larger than the driver's own buffer
    2068,  # LOAD DATA LOCAL that the client library does not allow
    3105,
    (3140, 3158),
    3616,
    3617,
    (3685, 3699),
    3819,
    3948,  # LOAD DATA LOCAL that the server does not allow (MySQL)
    4025,
    4038,
    4078,
    4166,  # the same (MariaDB)
)
# Conditions of the whole server or host: every statement fails, and an operator may already be fixing the cause.
SERVER_CODES: Final = frozenset(
    {
        3,  # error on write: the directory of temporary files is full
        20,  # the disk is full
        28,  # no space left on device
        1020,  # record has changed since last read (MariaDB's snapshot isolation)
        1021,  # disk full
        1026,  # error on write
        1030,  # error of the storage engine: errno 28 is a full disk
        1037,  # out of memory
        1040,  # too many connections
        1041,  # out of memory
        1045,  # access denied: a password that is being changed
        1047,  # unknown command: a Galera node that has left its cluster
        1053,  # server shutdown in progress
        1114,  # the table is full: the disk is
        1129,  # host is blocked
        1130,  # host is not allowed
        1135,  # can't create a thread
        1203,  # too many connections of this user
        1205,  # lock wait timeout
        1213,  # deadlock, also Galera's certification failure
        1226,  # the user's resource limit
        1792,  # the same, inside a transaction
        1836,  # read-only mode
        1927,  # connection was killed
        2002,  # can't connect through the socket
        2003,  # can't connect
        2005,  # unknown host: DNS is unavailable
        2012,  # handshake
        2026,  # TLS connection error
        4031,  # disconnected for inactivity
    }
)
READ_ONLY: Final = 1290  # the server runs with an option that forbids the statement: mostly --read-only
OUT_OF_SYNC: Final = 2014  # a connection that a signal interrupted; the driver calls it ProgrammingError
NOWAIT: Final = 3572
DEADLOCK: Final = 1213
# How long a chunk is retried while the database answers other statements, before the attempt counts as failed. Server
# conditions last until an operator fixes them; any other error may be caused by the chunk itself.
SERVER_SECONDS: Final = 3600.0
SUSPECT_SECONDS: Final = 120.0

# https://sqlite.org/rescode.html: generic error, constraint, too big, mismatch, misuse, not authorized, out of range
_SQLITE_OWN: Final = frozenset({1, 18, 19, 20, 21, 23, 25})
_SQLITE_WORDS: Final = ("locked", "busy", "disk i/o error", "unable to open", "disk is full", "readonly")


def is_database_error(error: BaseException) -> bool:
    """Return whether the database is unavailable, busy or full, as opposed to a wrong statement."""
    code = get_code(error)
    if isinstance(error, InterfaceError) or code == OUT_OF_SYNC:
        return True
    if not isinstance(error, Error) or isinstance(error, _OWN_CLASSES):
        return False
    if code is not None:
        return code not in STATEMENT_CODES and not _is_refused_option(code, error)
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error) and (number := getattr(cause, "sqlite_errorcode", None)) is not None:
        return number & 0xFF not in _SQLITE_OWN
    return any(word in str(error)[:1000].lower() for word in _SQLITE_WORDS)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether the error means that the server does not answer at all."""
    return isinstance(error, InterfaceError) or get_code(error) in (
        2002,
        2003,
        2005,
        2006,
        2012,
        2013,
        2026,
        2055,
        4031,
    )


def rolls_nothing_back(error: BaseException) -> bool:
    """Return whether the error leaves the transaction unchanged: a lock that was requested with NOWAIT is not free."""
    return get_code(error) == NOWAIT


def get_patience_seconds(error: BaseException) -> float:
    """Return how long a chunk that ends in this error is retried while the database answers other statements."""
    code = get_code(error)
    if code is None:  # SQLite: full, locked or unreadable, for every statement
        return SERVER_SECONDS
    return SERVER_SECONDS if code in SERVER_CODES or code == READ_ONLY else SUSPECT_SECONDS


def _is_refused_option(code: int, error: BaseException) -> bool:
    """Return whether a server option other than read-only forbids this statement; read-only may be temporary."""
    return code == READ_ONLY and "read" not in str(error).lower()


def get_code(error: BaseException) -> int | None:
    """Return the server's or the driver's error code; None if there is none (SQLite)."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) and isinstance(error, Error) else None
