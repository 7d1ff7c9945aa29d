"""Forwards the requests of long-poll sessions that live on another gateway.

A session lives in the memory of the gateway that opened it. Gateways behind one address receive the requests of a
session in any mix: a client polls over one connection and pushes over another. So a session's token names its gateway,
and another gateway that knows that one forwards the request to it. If it is gone, the session is lost.

A forwarded request is an internal call that carries the session's token and the lines, not the credential, and it opens
no session: who is admitted is decided by the gateway that the client reached, which sees the client's address.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from quart import Request, Response

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.gateway import LONG_POLL, LONG_POLL_TOKEN
from notifyx_common.logs import get_logger

log = get_logger(__name__)

CONNECT_TIMEOUT = 2.0
"""Timeout of the connection to another gateway, in seconds; after it, that one counts as gone."""

_TOKEN = re.compile(r"([0-9a-f]{12})\.[\w-]{32}(~[0-9]{1,19})?", re.ASCII)
"""The mark of a gateway, 24 random bytes, and the number of answers."""


class Peers:
    """Forwards to the endpoints that ``gateways`` knows, while entered. ``instance`` is this gateway.

    ``deadline`` (seconds) must be longer than a poll waits.
    """

    def __init__(self, instance: str, gateways: ServiceClient, *, deadline: float) -> None:
        self._own = mark(instance)
        self._gateways = gateways
        self._timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=CONNECT_TIMEOUT)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit: each forwarded request belongs to one request that a client has open.
        self._session = aiohttp.ClientSession(
            headers=self._gateways.headers, connector=aiohttp.TCPConnector(limit=0), timeout=self._timeout
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def new_token(self) -> str:
        """Return the name of a new session of this gateway: unguessable, and it names this gateway."""
        return f"{self._own}.{secrets.token_urlsafe(24)}"

    def are_at(self, address: str) -> bool:
        """Return whether another gateway has that address: the connections from there are those of many clients."""
        return any(urlsplit(gateway.url).hostname == address for gateway in self._gateways.endpoints)

    async def forward(self, token: str, request: Request) -> Response | None:
        """Return the answer of the gateway that holds the session ``token``; ``None`` if no other one does."""
        endpoint = self._holder(token)
        if endpoint is None or self._session is None:
            return None
        try:
            async with self._session.request(
                request.method,
                f"{endpoint.url}{LONG_POLL}",
                data=await request.data,
                headers={LONG_POLL_TOKEN: token},
                allow_redirects=False,
                **self._gateways.call_options(endpoint),
            ) as response:
                if response.status != 200:
                    if response.status != 404:
                        log.warning("long_poll_forward_rejected", node=endpoint.instance, status=response.status)
                    return None
                return Response(
                    await response.read(),
                    content_type=response.headers.get("Content-Type", "application/json"),
                    headers={"Cache-Control": "no-store"},
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("long_poll_forward_failed", node=endpoint.instance, error=type(error).__name__)
            return None

    def _holder(self, token: str) -> Endpoint | None:
        form = _TOKEN.fullmatch(token)
        if form is None or form[1] == self._own:
            return None
        return next((gateway for gateway in self._gateways.endpoints if mark(gateway.instance) == form[1]), None)


def mark(instance: str) -> str:
    """Return the mark of a gateway in tokens. Clients see it, so it does not reveal the machine's name."""
    return hashlib.sha256(instance.encode()).hexdigest()[:12]
