"""Asks an application without a server between."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette


class Client:
    """A client of an application, whose own loop runs for the length of the block.

    Attributes:
        base_url: that requests name as their host.
    """

    def __init__(self, application: Starlette, base_url: str = "http://127.0.0.1:8000") -> None:
        self.base_url = base_url
        self._application, self._runner = application, asyncio.Runner()

    def __enter__(self) -> "Client":
        self._lifespan = self._application.router.lifespan_context(self._application)
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def get(self, path: str) -> httpx.Response:
        return self.together("GET", path, {})[0]

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.together("POST", path, options)[0]

    def together(
        self, method: str, path: str, *requests: Mapping[str, Any]
    ) -> list[httpx.Response]:
        """Sends requests at once."""
        return self._runner.run(self._all(method, path, requests))

    async def _all(self, method, path, requests):
        transport = httpx.ASGITransport(self._application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
            send = functools.partial(client.request, method, path)
            return await asyncio.gather(*(send(**each) for each in requests))
