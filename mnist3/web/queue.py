"""Puts the pictures of many requests into one call of what reads them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

Read = Callable[[list[Any]], Sequence[Any]]


class Full(Exception):
    """More pictures are waiting than may wait."""


class _Waiting(NamedTuple):
    picture: Any
    answer: asyncio.Future


class Queue:
    """Pictures that wait to be read; what has come while a batch is read is the next batch.

    Attributes:
        most: pictures that may wait.
    """

    def __init__(self, read: Read, batch_size: int, most: int) -> None:
        """Takes what reads pictures.

        Args:
            read: from pictures, of whatever type, to what is answered of each, in order; it runs
                in one thread.
            batch_size: most pictures of a call.
            most: pictures that may wait.
        """
        self.most = most
        self._read, self._batch_size = read, batch_size
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    async def read(self, pictures: Sequence[Any]) -> list[Any]:
        """Returns what is answered of pictures, in order.

        A call that is cancelled takes its pictures back, unless they are being read already.

        Raises:
            Full: if too many are waiting.
        """
        if len(self._waiting) + len(pictures) > self.most:
            raise Full
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(picture, loop.create_future()) for picture in pictures]
        self._waiting.extend(waiting)
        self._arrived.set()
        return await asyncio.gather(*(each.answer for each in waiting))

    async def work(self) -> None:
        """Reads what arrives, batch by batch, until it is cancelled and the last batch is read."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, "reading")
        try:
            while True:
                await self._arrived.wait()
                batch = self._next_batch()
                if not batch:
                    continue
                pictures = [each.picture for each in batch]
                try:
                    answers = await loop.run_in_executor(thread, self._read, pictures)
                except Exception as error:  # a fault in reading is told to who asked, and we go on
                    _settle(batch, lambda answer, _, error=error: answer.set_exception(error))
                else:
                    found = iter(answers)
                    _settle(batch, lambda answer, value: answer.set_result(value), found)
        finally:
            await asyncio.to_thread(thread.shutdown)  # the loop goes on meanwhile

    def _next_batch(self) -> list[_Waiting]:
        batch = []
        while self._waiting and len(batch) < self._batch_size:
            first = self._waiting.popleft()
            if not first.answer.done():  # or whoever asked has gone
                batch.append(first)
        if not self._waiting:
            self._arrived.clear()
        return batch


def _settle(batch: Sequence[_Waiting], settle: Callable, values: Any = None) -> None:
    for each in batch:
        value = None if values is None else next(values)
        if not each.answer.done():
            settle(each.answer, value)
