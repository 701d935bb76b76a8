"""A Redis that refuses writes because it is full or lacks its required replicas."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def config(redis: Any, **values: Any) -> Generator[None, None, None]:
    names = {name.replace("_", "-"): value for name, value in values.items()}
    before = {name: redis.config_get(name)[name] for name in names}
    for name, value in names.items():
        redis.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            redis.config_set(name, value)


def full(redis: Any) -> Any:
    return config(redis, maxmemory=1)


def without_replicas(redis: Any) -> Any:
    return config(redis, min_replicas_to_write=1)


REFUSING = {"OOM": full, "NOREPLICAS": without_replicas}
