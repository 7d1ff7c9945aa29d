"""Requests to the Kubernetes API, over plain HTTP, with timeouts and errors rooted in ``NotifyxError``.

The client library for the whole API would be half of the operator's image and a quarter of its memory, for a dozen
requests whose objects are plain JSON here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import kopf
import orjson

from notifyx_common.calls.kubernetes_api import in_cluster, keepalive_socket
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.settings import SettingsError
from notifyx_operator.kube.names import FIELD_MANAGER

MERGE_PATCH = "application/merge-patch+json"
WATCH_SILENCE = 10.0
"""Seconds after the planned end of a watch at which its connection counts as broken."""


class ClusterUnavailable(Unavailable):
    """The Kubernetes API does not answer."""

    code = "cluster_unavailable"


class ClusterRejected(NotifyxError):
    """The Kubernetes API rejected a call; ``status`` is the HTTP status."""

    code = "cluster_rejected"

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class NotInCluster(NotifyxError):
    """No cluster is configured to connect to."""

    code = "not_in_cluster"


class Credentials(kopf.ConnectionInfo):
    """Where the API server is and who we are, under our name, for Kopf and for :class:`KubernetesApi`."""

    def as_http_headers(self) -> dict[str, str]:
        return {**super().as_http_headers(), "User-Agent": FIELD_MANAGER}

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        # Python 3.13 requires certificate fields that the authorities of some clusters do not write.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


Login = Callable[[], Credentials]
"""Reads the credentials: those of a pod change while it runs."""


def login() -> Credentials:
    """Return the pod's own credentials, or else those of the kubeconfig. Raises :class:`NotInCluster`."""
    try:
        api = in_cluster()
    except SettingsError:
        return _from_kubeconfig()
    token = api.token_file.read_text().strip() if api.token_file is not None else None
    return Credentials(server=api.url, ca_path=api.ca_file, token=token)


def _from_kubeconfig() -> Credentials:
    try:
        found = kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
    except (kopf.LoginError, OSError) as error:
        raise NotInCluster(f"The kubeconfig cannot be used: {error}.") from None
    if found is None:
        raise NotInCluster("No Kubernetes cluster is known here: run the operator in a pod, or set KUBECONFIG.")
    return Credentials(**vars(found))


class KubernetesApi:
    """The API server, as an async context manager. ``timeout``: of a request, in seconds."""

    def __init__(self, login: Login, *, timeout: float) -> None:
        self._login = login
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def request(
        self, method: str, path: str, *, body: Any = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the answer's JSON; the body of a ``PATCH`` is a merge patch.

        Raises :class:`ClusterUnavailable` and :class:`ClusterRejected`.
        """
        with self._errors(f"in {self._timeout:.0f} s"):
            async with (
                asyncio.timeout(self._timeout),
                self._opened(method, path, body=body, parameters=parameters or {}) as response,
            ):
                content = await response.read()
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            raise ClusterUnavailable("The Kubernetes API sent something else than JSON.") from None

    @contextlib.asynccontextmanager
    async def watch(self, path: str, seconds: float) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Watch what a list has: events as they come, first of all that there are.

        The server ends the watch after ``seconds``.
        """
        parameters = {"watch": "true", "timeoutSeconds": str(round(seconds))}
        with self._errors("to end a watch"):
            async with (
                asyncio.timeout(seconds + WATCH_SILENCE),
                self._opened("GET", path, body=None, parameters=parameters) as response,
            ):
                yield _events(response)

    @contextlib.contextmanager
    def _errors(self, in_time: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise ClusterUnavailable(f"The Kubernetes API did not answer {in_time}.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(f"The Kubernetes API cannot be reached ({type(error).__name__}).") from error

    @contextlib.asynccontextmanager
    async def _opened(
        self, method: str, path: str, *, body: Any, parameters: Mapping[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        credentials = self._login()
        session = self._session
        if session is None:
            session = self._session = _session(credentials)
        headers = credentials.as_http_headers()
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH if method == "PATCH" else "application/json"
        try:
            async with session.request(
                method, path, params=parameters, data=None if body is None else orjson.dumps(body), headers=headers
            ) as response:
                if response.status >= 400:
                    raise _rejection(method, path, response)
                yield response
        except (aiohttp.ClientError, OSError):
            # A new session reads certificates anew, and uses no broken connection again.
            if self._session is session:
                await self._close()
            raise

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _session(credentials: Credentials) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        credentials.server,
        connector=connector(credentials),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
    )


def connector(credentials: Credentials, *, limit: int = 100) -> aiohttp.TCPConnector:
    """Return what opens connections to the API server; ``limit``: how many at a time, 0 for any number."""
    secure = credentials.server.startswith("https:")
    return aiohttp.TCPConnector(
        limit=limit, ssl=credentials.as_ssl_context() if secure else True, socket_factory=keepalive_socket
    )


def _rejection(method: str, path: str, response: aiohttp.ClientResponse) -> NotifyxError:
    status, reason = response.status, response.reason
    if status == 429 or status >= 500:
        return ClusterUnavailable(f"The Kubernetes API does not answer ({status} {reason}).")
    return ClusterRejected(f"The Kubernetes API refused {method} {path} ({status} {reason}).", status)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a watch, one a line, however they are cut."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                raise ClusterUnavailable("The Kubernetes API sent something else than an event.") from None
