import asyncio
import threading

import pytest

from mnist3.web.queue import Full, Queue


def served(read, visit, batch_size=32, most=64):
    """Runs what visits a queue that works beside it."""

    async def run():
        queue = Queue(read, batch_size, most)
        work = asyncio.create_task(queue.work())
        try:
            return await visit(queue)
        finally:
            work.cancel()

    return asyncio.run(run())


class Held:
    """Reads pictures once it is let; remembers its calls."""

    def __init__(self):
        self.calls, self.may_go = [], threading.Event()

    async def begun(self):
        while not self.calls:
            await asyncio.sleep(0.001)

    def __call__(self, pictures):
        self.calls.append(pictures)
        self.may_go.wait(10)
        return [picture.decode().upper() for picture in pictures]


def test_what_comes_while_a_batch_is_read_is_the_next_batch():
    read = Held()

    async def visit(queue):
        first = asyncio.create_task(queue.read([b"a"]))
        await read.begun()
        others = [asyncio.create_task(queue.read([b"%c" % each, b"z"])) for each in b"bcd"]
        await asyncio.sleep(0)
        read.may_go.set()
        return await asyncio.gather(first, *others)

    assert served(read, visit) == [["A"], ["B", "Z"], ["C", "Z"], ["D", "Z"]]
    assert read.calls == [[b"a"], [b"b", b"z", b"c", b"z", b"d", b"z"]]


def test_a_call_reads_no_more_than_a_batch():
    calls = []

    def read(pictures):
        calls.append(len(pictures))
        return pictures

    pictures = [b"%d" % each for each in range(10)]
    assert served(read, lambda queue: queue.read(pictures), batch_size=4) == pictures
    assert calls == [4, 4, 2]


def test_a_full_queue_refuses():
    read = Held()

    async def visit(queue):
        waiting = asyncio.create_task(queue.read([b"a"] * 4))
        await read.begun()
        more = asyncio.create_task(queue.read([b"b"] * 3))
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await queue.read([b"c"] * 2)
        read.may_go.set()
        await asyncio.gather(waiting, more)

    served(read, visit, most=4)


def test_what_nobody_waits_for_is_not_read():
    read = Held()

    async def visit(queue):
        first = asyncio.create_task(queue.read([b"a"]))
        await read.begun()
        gone, stays = (asyncio.create_task(queue.read([each])) for each in (b"b", b"c"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        read.may_go.set()
        await first
        return await stays

    assert served(read, visit) == ["C"]
    assert read.calls == [[b"a"], [b"c"]]


def test_the_end_waits_for_a_batch_and_the_loop_goes_on_meanwhile():
    read = Held()

    async def visit(queue):
        work = asyncio.create_task(queue.work())
        reading = asyncio.create_task(queue.read([b"a"]))
        await read.begun()
        work.cancel()
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not work.done()
        read.may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        reading.cancel()

    asyncio.run(visit(Queue(read, 32, 64)))


def test_a_fault_reaches_who_asked_and_the_next_is_read():
    def read(pictures):
        if pictures == [b"bad"]:
            raise ZeroDivisionError("of the reader")
        return pictures

    async def visit(queue):
        with pytest.raises(ZeroDivisionError):
            await queue.read([b"bad"])
        return await queue.read([b"good"])

    assert served(read, visit) == [b"good"]
