"""The HTTP sessions with which Kopf talks to the API server.

Kopf makes a session of its own where it finds none, also for a request that one of its tasks begins while Kopf ends,
after it has closed its sessions: nobody would close that one. With sessions of ours such a request fails.
"""

from __future__ import annotations

import aiohttp
import kopf

from notifyx_operator.kube.api import Credentials, Login, connector


class KopfSessions:
    """One session for each credentials that ``login`` returned; used in the event loop of Kopf alone."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._credentials: Credentials | None = None
        self._current: kopf.AiohttpSession | None = None
        self._opened: list[aiohttp.ClientSession] = []

    def open(self) -> kopf.AiohttpSession:
        """Return a session with the credentials of now.

        Equal credentials have the same session: Kopf knows by it that the API server has rejected them already.
        """
        credentials = self._login()
        if self._current is None or credentials != self._credentials:
            session = aiohttp.ClientSession(
                connector=connector(credentials, limit=0),
                headers=credentials.as_http_headers(),
                proxy=credentials.proxy_url,
                trust_env=credentials.trust_env,
            )
            self._credentials = credentials
            self._current = kopf.AiohttpSession(
                server=credentials.server,
                default_namespace=credentials.default_namespace,
                aiohttp_session=session,
            )
            self._opened = [*(one for one in self._opened if not one.closed), session]
        return self._current

    async def close(self) -> None:
        """Close what Kopf has not closed."""
        for session in self._opened:
            await session.close()
