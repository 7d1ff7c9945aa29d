"""The bus over NATS: connections by nats-py, each of whose waits has a deadline, and whose end is noticed.

It is core NATS, which keeps no messages: what a stream of JetStream would keep is in the database anyway, and read from
there. nats-py does not reconnect by itself, which it would do without jitter and with old messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from notifyx_common.authorities import trusting
from notifyx_common.clock import Clock
from notifyx_common.metrics import Metrics
from notifyx_common.settings import SettingsError
from notifyx_store.base.bus_settings import BusCredentials, BusServers, BusSettings, check_credentials
from notifyx_store.base.message_bus import BusAway, MessageBus
from notifyx_store.base.settings import StoreSettings

CONNECT_TIMEOUT = 3.0
"""Timeout of reaching one server, in seconds."""

PING_TIMEOUT = 5
"""Timeout of a round trip, in seconds."""

CLOSE_TIMEOUT = 1.0
"""Timeout of the last words and of closing, in seconds each."""

MAX_UNSENT = 4 << 20
"""Bytes that wait to be written, above which the server counts as away: it does not read."""

MAX_UNREAD_MESSAGES = 10_000
MAX_UNREAD_BYTES = 16 << 20
"""What waits to be read; what comes beyond is dropped and reported."""

_LOST = (OSError, TimeoutError, errors.Error)


UNKNOWN_MARGIN = 2.0
"""Seconds after the timeout of a statement until a commit with an unknown outcome is announced again."""


def nats_bus(settings: StoreSettings, origin: str, clock: Clock, metrics: Metrics) -> MessageBus:
    """Return the bus that ``settings`` name, for the replica ``origin``. Raises :class:`SettingsError`."""
    check_credentials(settings)
    connect = partial(NatsConnection, settings, BusServers.of(settings.bus_url))
    return MessageBus(origin, connect, settings.statement_timeout + UNKNOWN_MARGIN, clock, metrics)


class _TlsMissing(errors.Error):
    """The server does not encrypt."""


class _Client(Client):
    """nats-py's client, which by itself would send credentials unencrypted to a server that does not ask for TLS.

    It uses what is private in nats-py; test_nats_bus.py fails if that is not called.
    """

    def __init__(self, *, encrypted: bool) -> None:
        super().__init__()
        self._encrypted = encrypted

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self._encrypted and initial_connection and not info.get("tls_required"):
            raise _TlsMissing
        await super()._process_info(info, initial_connection)

    async def end(self) -> None:
        """Close the socket at once, whatever waits to be written: a server that hangs would be waited for."""
        tasks = [getattr(sub, "_wait_for_msgs_task", None) for sub in self._subs.values()]
        tasks += [self._reading_task, self._flusher_task, self._ping_interval_task]
        self._pending = []
        self._pending_data_size = 0
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        await self.close()
        for task in tasks:
            if task is not None:
                task.cancel()


class NatsConnection:
    """A :class:`.message_bus.BusConnection` to one of ``servers``."""

    def __init__(
        self,
        settings: BusSettings,
        servers: BusServers,
        on_message: Callable[[bytes], None],
        on_dropped: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._on_message = on_message
        self._on_dropped = on_dropped
        self._on_lost = on_lost
        self._client = _Client(encrypted=servers.encrypted)
        self._error: Exception | None = None

    async def connect(self) -> None:
        """Connect and subscribe. What others send after it returns is received. Raises :class:`BusAway`."""
        settings = self._settings
        try:
            credentials = BusCredentials.read(settings)
            tls = trusting(settings.bus_ca_file, setting="NOTIFYX_BUS_CA_FILE") if self._uses_tls() else None
        except (OSError, UnicodeDecodeError, SettingsError) as error:
            raise BusAway(f"A file of the bus cannot be read: {str(error).rstrip('.')}.") from None
        with self._away():
            # Each server is tried twice, and each time may be refused, or not answer.
            async with asyncio.timeout(CONNECT_TIMEOUT * 2 * len(self._servers.urls)):
                await self._client.connect(
                    servers=list(self._servers.urls),
                    error_cb=self._failed,
                    closed_cb=self._closed,
                    name="notifyx-store",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_TIMEOUT,  # type: ignore[arg-type]  # it is passed to asyncio
                    no_echo=True,
                    tls=tls,
                    user=credentials.username or None,
                    password=credentials.password.get_secret_value() or None,
                    token=credentials.token.get_secret_value() or None,
                    pending_size=-1,  # it would wait in the middle of a publish, and hide that it is cancelled
                )
            await self._client.subscribe(
                settings.bus_subject,
                cb=self._received,
                pending_msgs_limit=MAX_UNREAD_MESSAGES,
                pending_bytes_limit=MAX_UNREAD_BYTES,
            )
            await self._client.flush(PING_TIMEOUT)
        self._raise_error()

    async def publish(self, messages: Iterable[bytes]) -> None:
        """Send messages to all other replicas, in their order. Raises :class:`BusAway`."""
        self._raise_error()
        with self._away():
            for message in messages:
                if self._client.pending_data_size > MAX_UNSENT:
                    raise TimeoutError
                await self._client.publish(self._settings.bus_subject, message)

    async def ping(self) -> None:
        """Wait until the server has read all that was sent. Raises :class:`BusAway`."""
        with self._away():
            await self._client.flush(PING_TIMEOUT)
        self._raise_error()

    async def leave(self, messages: Iterable[bytes]) -> None:
        """Send last messages, if that is possible."""
        with contextlib.suppress(*_LOST, BusAway):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.publish(messages)
                await self._client.flush(PING_TIMEOUT)

    async def close(self) -> None:
        """Close what there is of the connection."""
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._client.end()

    def _uses_tls(self) -> bool:
        return self._servers.encrypted or self._settings.bus_ca_file is not None

    async def _received(self, message: Msg) -> None:
        self._on_message(message.data)

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, errors.SlowConsumerError):
            self._on_dropped()
            return
        self._error = error
        self._on_lost()

    async def _closed(self) -> None:
        self._error = self._error or ConnectionResetError("the connection was lost")
        self._on_lost()

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        try:
            yield
        except _LOST as error:
            # That there is no server, or no connection, says less than what came before.
            raise BusAway(self._reason(self._error or error)) from error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise BusAway(self._reason(self._error))

    def _reason(self, error: BaseException) -> str:
        where = f"NATS at {', '.join(self._servers.urls)}"
        text = str(error).lower()
        if "authorization" in text or "authentication" in text:
            return f"{where} does not accept the user and password, or the token, of the store."
        if "permissions violation" in text:
            return f"{where} does not let this user publish and subscribe to '{self._settings.bus_subject}'."
        if isinstance(error, _TlsMissing):
            return f"{where} does not encrypt the connection, as tls:// demands."
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"The certificate of {where} is not trusted ({error.verify_message.rstrip('.')})."
        if isinstance(error, TimeoutError):
            return f"{where} does not answer."
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{where} cannot be reached ({str(why).removeprefix('nats: ')})."
