"""Who may ask: pages and programs that name this server, and no page of another site.

A page of another site can make a browser send requests here, and by a name of its own that it lets
point to this machine (DNS rebinding) even read the answers. Such requests carry that site's name as
`Origin` or `Host`.
"""

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Hosts(NamedTuple):
    """By which names a server may be asked.

    Attributes:
        names: lower case.
        addresses: whether any IP address will do, as where it listens on all of them.
    """

    names: frozenset[str]
    addresses: bool

    def allow(self, host: str) -> bool:
        """Tells whether the header `Host` of a request names this server."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.names:
            return True
        if not self.addresses:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def hosts_of(host: str) -> Hosts:
    """Returns by which names a server may be asked that listens on a host.

    Args:
        host: name or address; of another one than the loopback's, the machine's own name and any
            address will do too, since no site can make one of those its own.
    """
    name = host.lower()
    if name in LOOPBACK:
        return Hosts(frozenset(LOOPBACK), False)
    own = socket.gethostname().lower()
    return Hosts(frozenset({*LOOPBACK, name, own, f"{own}.local"}), True)


class Guard:
    """Refuses requests of other sites, and says to browsers what the page may do."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if sentence := self._refused(headers.get("host", ""), headers.get("origin")):
            answer = JSONResponse({"error": sentence}, 403)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refused(self, host: str, origin: str | None) -> str:
        if not self._hosts.allow(host):
            return (
                f"this server is not {host or 'without a name'}; ask it by the address that it "
                "says at its start, or give it the name with --host."
            )
        if origin is not None and origin.lower() not in (
            f"http://{host.lower()}",
            f"https://{host.lower()}",
        ):
            return (
                f"pages of {origin} may not ask this server; open its own page, or ask from a "
                "program, which sends no header Origin."
            )
        return ""
