"""The way into the socket: a connection gets its WebSocket only after its client has proved who it is.

Until then the connection is a guest of the :class:`~notifyx_gateway.socket.places.WaitingRoom`, with a deadline, and
costs little more than its descriptor: one request is read and nothing after it. With its credential verified, the
connection is handed over to a :class:`~notifyx_gateway.socket.reader.Reader`.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from typing import Any

from picows import WSUpgradeRequest, WSUpgradeResponse
from picows.picows import _parse_http_request  # type: ignore[attr-defined]

from notifyx_common.background import Tasks
from notifyx_common.limiting.addresses import capped_address, plain_address
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.socket.admission import Admission, Admissions
from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.places import WaitingRoom
from notifyx_gateway.socket.reader import Reader, read_buffer
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.upgrade import Rejection, Upgrade, accept_key, check_upgrade, requests_long_poll

log = get_logger(__name__)

MAX_HEAD = 16 << 10
"""Maximum size of an upgrade request in bytes."""

KNOWN_ADDRESSES = 4096
"""Maximum number of addresses that are not parsed again, each with a short ``X-Forwarded-For`` or none."""

SHORT_HEADER = 64

_END_OF_HEAD = b"\r\n\r\n"


class Reception:
    """Receives the connections of a listener.

    ``accept`` makes the WebSocket of an admitted client; ``adopt`` serves the connection of one that polls, given what
    it has sent.
    """

    def __init__(
        self,
        admissions: Admissions,
        settings: SocketSettings,
        metrics: Metrics,
        tasks: Tasks,
        accept: Callable[[Admission], WebSocketConnection],
        adopt: Callable[[asyncio.Transport, bytes], None] | None = None,
    ) -> None:
        self.admissions = admissions
        self.settings = settings
        self.tasks = tasks
        self.accept = accept
        self.adopt = adopt
        self.read_buffer = read_buffer()
        self.draining = False
        self.guests: WaitingRoom[Entrance] = WaitingRoom(
            total=settings.max_unproved, per_address=settings.max_unproved_per_address
        )
        self.aborted = metrics.counter("notifyx_connections_aborted_total")
        self._known_address = functools.lru_cache(KNOWN_ADDRESSES)(self._parse_address)

    def protocol(self) -> Entrance:
        """Return the protocol of a new connection."""
        return Entrance(self)

    def enter(self, guest: Entrance, address: str | None) -> None:
        """Let ``guest`` wait for its admission; the guest that has to leave for it is disconnected."""
        out = self.guests.enter(guest, address)
        if out is not None:
            out.abort("crowded")

    def address(self, peer: str, forwarded_for: str) -> str | None:
        """Return the address of a connection that counts for the caps (:func:`capped_address`)."""
        known = self._known_address if len(forwarded_for) <= SHORT_HEADER else self._parse_address
        return known(peer, forwarded_for)

    def _parse_address(self, peer: str, forwarded_for: str) -> str | None:
        return capped_address(peer, forwarded_for, self.settings.trusted_proxies)

    def close(self) -> None:
        """Disconnect all guests."""
        for guest in self.guests.all():
            guest.abort("stopping")


class Entrance(asyncio.Protocol):
    """A connection whose client is not admitted yet."""

    __slots__ = ("_accept", "_deadline", "_head", "_loop", "_peer", "_proof", "_reception", "_transport")

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._accept = self._peer = ""
        self._head = b""
        self._proof: asyncio.Task[None] | None = None
        self._transport: Any = None
        self._deadline: asyncio.TimerHandle | None = None

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._peer = plain_address((transport.get_extra_info("peername") or ("",))[0])
        self._deadline = self._loop.call_later(self._reception.settings.proof_timeout, self.abort, "unproved")
        self._reception.enter(self, self._reception.address(self._peer, ""))

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0:
            if len(self._head) >= MAX_HEAD:
                self._reject(Rejection(431, "The upgrade request is too large."))
            return
        if self._reception.adopt is not None and requests_long_poll(self._head):
            received, self._head = self._head, b""
            self._leave()
            self._reception.adopt(self._transport, received)
            return
        if end + len(_END_OF_HEAD) < len(self._head):
            # RFC 6455, 4.1: a client waits for the response before it sends anything else.
            self._reject(Rejection(400, "Nothing may follow the upgrade request before its response."))
            return
        try:
            self._request(_parse_http_request(self._head[:end]))
        except RuntimeError as error:
            self._reject(Rejection(400, str(error)))
        except Exception as error:
            log.error("upgrade_failed", exc_info=error)
            self._reject(Rejection(500, "Something went wrong on our side; it has been logged."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    # Inside

    def abort(self, cause: str) -> None:
        """Disconnect at once."""
        self._leave()
        self._reception.aborted.labels(cause).inc()
        self._transport.abort()

    def _leave(self) -> None:
        self._reception.guests.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None

    def _request(self, request: WSUpgradeRequest) -> None:
        reception = self._reception
        if reception.draining:
            self._reject(Rejection(503, "This node is stopping; try again."))
            return
        verdict = check_upgrade(
            request.path.decode("latin-1"),
            request.headers,
            request.headers.getall("Sec-WebSocket-Protocol", []),
            reception.settings.allowed_origins,
        )
        if isinstance(verdict, Rejection):
            self._reject(verdict)
            return
        accept = accept_key(request.headers)
        if isinstance(accept, Rejection):
            self._reject(accept)
            return
        self._accept = accept
        address = reception.address(self._peer, ",".join(request.headers.getall("X-Forwarded-For", ())))
        decision = reception.admissions.decide(verdict.token, address)
        if decision is None:
            self._transport.pause_reading()
            reception.guests.leave(self)
            reception.enter(self, address)
            self._proof = reception.tasks.spawn("socket proof", self._prove(verdict, address))
        else:
            self._decided(verdict, decision)

    async def _prove(self, upgrade: Upgrade, address: str | None) -> None:
        decision = await self._reception.admissions.prove(upgrade.token, address)
        self._proof = None
        self._decided(upgrade, decision)

    def _decided(self, upgrade: Upgrade, decision: Admission | Rejection) -> None:
        if isinstance(decision, Rejection):
            self._reject(decision)
        elif self._transport.is_closing():
            decision.place.release()
        else:
            self._leave()
            self._admit(upgrade, decision)

    def _reject(self, rejection: Rejection) -> None:
        if self._transport.is_closing():
            return
        headers = {"Connection": "close"}
        if rejection.retry_after:
            headers["Retry-After"] = str(math.ceil(rejection.retry_after))
        response = WSUpgradeResponse.create_error_response(rejection.status, rejection.reason.encode(), headers)
        self._transport.write(bytes(response.to_bytes()))
        self._transport.close()  # the deadline still holds for a client that does not read

    def _admit(self, upgrade: Upgrade, admission: Admission) -> None:
        connection = self._reception.accept(admission)
        connection.objects = upgrade.objects
        reader = Reader(self._reception.read_buffer, self._reception.settings.max_frame, connection)
        self._transport.set_protocol(reader)
        reader.start(self._transport, self._accept, upgrade.subprotocol)
