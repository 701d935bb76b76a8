"""The bounded queue of web's threads."""

import asyncio
import threading

import pytest

from longtasks.http.thread_pool import PoolFull, ThreadPool


def test_a_full_pool_refuses_until_a_call_has_ended() -> None:
    async def main() -> None:
        pool = ThreadPool(1, waiting=1, name="test")
        go = threading.Event()
        first, second = pool.submit(go.wait), pool.submit(lambda: 2)
        with pytest.raises(PoolFull):
            pool.submit(lambda: 3)
        go.set()
        assert [await first, await second] == [True, 2]
        assert await pool.submit(lambda: 3) == 3
        pool.close()

    asyncio.run(main())


def test_a_request_that_is_given_up_keeps_its_place_while_its_thread_works() -> None:
    async def main() -> None:
        pool = ThreadPool(1, waiting=0, name="test")
        began, go = threading.Event(), threading.Event()
        future = pool.submit(lambda: (began.set(), go.wait()))
        await asyncio.to_thread(began.wait, 10)
        future.cancel()
        with pytest.raises(PoolFull):
            pool.submit(lambda: 2)
        go.set()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await pool.submit(lambda: 2) == 2
                    break
                except PoolFull:
                    await asyncio.sleep(0.001)
        pool.close()

    asyncio.run(main())


def test_a_call_s_error_is_raised() -> None:
    def fail() -> None:
        raise LookupError("no")

    async def main() -> None:
        pool = ThreadPool(1, waiting=0, name="test")
        with pytest.raises(LookupError, match="no"):
            await pool.submit(fail)
        pool.close()

    asyncio.run(main())
