"""The private parts of Python's standard library are where this project expects them."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from tasks_app.engine import python_internals


def list_code(frame: FrameType | None) -> list[object]:
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes


def in_new_thread(call: object) -> None:
    thread = threading.Thread(target=call)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_the_frames_are_those_of_all_threads() -> None:
    assert python_internals.get_current_frames is sys._current_frames
    assert python_internals.get_current_frames()[threading.get_ident()] is sys._getframe()


def test_the_stack_of_a_pools_thread_says_whether_it_is_idle() -> None:
    with ThreadPoolExecutor(1) as pool:
        ident, busy = pool.submit(lambda: (threading.get_ident(), list_code(sys._getframe()))).result()
        assert {python_internals.POOL_LOOP, python_internals.POOL_ITEM} <= set(busy)
        while python_internals.POOL_ITEM in (idle := list_code(python_internals.get_current_frames()[ident])):
            pass
        assert python_internals.POOL_LOOP in idle


def test_the_event_loop_is_read_without_creating_one() -> None:
    found: list[object] = []

    def run() -> None:
        found.append(python_internals.get_event_loop())
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        found.extend([python_internals.get_event_loop() is loop, python_internals.get_event_loop() is not None])
        asyncio.set_event_loop(None)
        found.append(python_internals.get_event_loop())
        loop.close()

    in_new_thread(run)
    assert found == [None, True, True, None]


def test_after_asyncio_run_a_loop_is_created_again_once_it_was_forgotten() -> None:
    """In the main thread, the only one in which asyncio creates a loop."""

    async def nothing() -> None:
        pass

    assert threading.current_thread() is threading.main_thread()
    before = python_internals.get_event_loop()
    asyncio.run(nothing())
    policy = asyncio.get_event_loop_policy()
    refused = False
    try:
        policy.get_event_loop()
    except RuntimeError:
        refused = True
    assert refused, "asyncio creates a loop again by itself: forget_event_loop can go"
    python_internals.forget_event_loop()
    loop = policy.get_event_loop()
    try:
        assert loop is python_internals.get_event_loop()
    finally:
        loop.close()
        asyncio.set_event_loop(before)
        python_internals.forget_event_loop()
