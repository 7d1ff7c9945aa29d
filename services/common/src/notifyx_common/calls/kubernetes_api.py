"""Access of a pod to the API server of its own cluster: address, certificates, token, connections.

Kubernetes replaces the token hourly and the certificates from time to time, in the same files, while the process runs.
So the token is read for each request and the certificates for each session, and a session is closed after an error.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from notifyx_common.host_port import host_port
from notifyx_common.settings import SettingsError

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}
"""Seconds and probes until a connection whose other end lost its power counts as broken: about 20 seconds."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """URL of the API server, and the files with the token and the trusted certificates."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return a session whose paths are relative to the API server. Raises :class:`OSError` for an unreadable file.

        The session has no total timeout, because watches have none: callers set theirs.
        """
        context = _context(self.ca_file) if self.ca_file is not None else True
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(ssl=context, socket_factory=keepalive_socket),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            middlewares=(self._add_token,),
        )

    async def _add_token(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.token_file is not None:
            # The file is small and in memory: a thread would take longer than the read.
            request.headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
        return await handler(request)


def _context(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 requires certificate fields that the authorities of some clusters do not write.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def in_cluster(environ: Mapping[str, str] | None = None, account: Path = SERVICE_ACCOUNT_FOLDER) -> ApiServer:
    """Return the API server of the cluster that this pod runs in. Raises :class:`SettingsError` outside one."""
    environ = os.environ if environ is None else environ
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (account / "token").exists():
        raise SettingsError(
            "NOTIFYX_KUBERNETES_NAMESPACE is set, but this is no pod with a ServiceAccount's token: "
            "unset it, or mount the token."
        )
    return ApiServer(f"https://{host_port(host, port)}", account / "token", account / "ca.crt")


def keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for a connection to ``address`` (as resolved), which notices that its other end is gone."""
    family, kind, protocol = address[:3]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has these options
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
