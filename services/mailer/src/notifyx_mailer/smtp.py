"""SMTP: a bounded pool of reused connections.

A connection carries one email at a time. It is replaced when it was idle for too long, has carried its number of
emails, or broke. If the server has closed an idle connection, this is noticed before an email's content is sent, and
the email goes over a new connection. A connection that breaks later leaves the outcome unknown: the email fails as
*attempted*. It may arrive, and a receiver recognises the repeated email by its Message-ID.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections import deque
from dataclasses import dataclass

import aiosmtplib

from notifyx_common.authorities import trusting
from notifyx_common.clock import Clock
from notifyx_common.host_port import host_port
from notifyx_mailer.errors import MailFailed, MailRejected
from notifyx_mailer.message import Envelope
from notifyx_mailer.refusals import Stage, classify_refusal
from notifyx_mailer.render import one_line
from notifyx_mailer.settings import MailerSettings

_CONNECTION_ERRORS = (aiosmtplib.SMTPServerDisconnected, OSError)  # time-outs are OSErrors


@dataclass(slots=True)
class _SmtpConnection:
    client: aiosmtplib.SMTP
    mails: int = 0
    idle_since: float = 0.0


class SmtpPool:
    """Sends envelopes over at most ``settings.smtp_connections`` connections. Close it with :meth:`close`."""

    def __init__(self, settings: MailerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._tls = tls_context(settings)
        self._slots = asyncio.Semaphore(settings.smtp_connections)
        self._idle: deque[_SmtpConnection] = deque()
        self._closed = False
        self.opened = 0
        """Number of connections opened so far."""

    async def acquire(self) -> None:
        """Wait for a connection slot; call :meth:`send` or :meth:`release` next."""
        await self._slots.acquire()

    def release(self) -> None:
        """Release a connection slot."""
        self._slots.release()

    async def send(self, envelope: Envelope) -> None:
        """Send on a slot from :meth:`acquire`, and release it.

        Raises :class:`MailRejected` or :class:`MailFailed`.
        """
        try:
            await self._send(envelope)
        finally:
            self._slots.release()

    async def probe(self) -> None:
        """Open a connection on a slot of its own, and keep it for the next email. Raises :class:`MailFailed`."""
        await self._slots.acquire()
        try:
            await self._return_connection(await self._open(), reusable=True)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close the idle connections, and pool none from now on."""
        self._closed = True
        idle, self._idle = self._idle, deque()
        await asyncio.gather(*(self._close_connection(connection) for connection in idle))

    async def _send(self, envelope: Envelope) -> None:
        reused = await self._idle_connection()
        if reused is not None:
            try:
                await self._transact(reused, envelope)
            except MailFailed as error:
                if error.attempted or reused.client.is_connected:
                    raise
            else:
                return
        await self._transact(await self._open(), envelope)

    async def _idle_connection(self) -> _SmtpConnection | None:
        """Return an idle connection that is usable; close those that are not."""
        while self._idle:
            connection = self._idle.pop()
            fresh = self._clock.monotonic() - connection.idle_since <= self._settings.smtp_idle_seconds
            if connection.client.is_connected and fresh:
                return connection
            await self._close_connection(connection)
        return None

    async def _open(self) -> _SmtpConnection:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.effective_smtp_port,
            username=settings.smtp_username or None,
            password=settings.smtp_password.get_secret_value() or None,
            local_hostname=settings.smtp_helo or re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost",
            timeout=settings.smtp_timeout,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls,
        )
        try:
            # The library bounds each step; this bounds their sum.
            async with asyncio.timeout(2 * settings.smtp_timeout):
                await client.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            server = f"SMTP server {host_port(settings.smtp_host, settings.effective_smtp_port)}"
            raise MailFailed(f"{server}: {_connect_reason(error)}.", attempted=False) from error
        self.opened += 1
        return _SmtpConnection(client)

    async def _transact(self, connection: _SmtpConnection, envelope: Envelope) -> None:
        client = connection.client
        stage: Stage = "sender"
        reusable = False
        try:
            if envelope.utf8:
                await client.ehlo()
                if not client.supports_extension("smtputf8"):
                    reusable = True
                    raise MailRejected(
                        "The SMTP server does not accept addresses with such characters.", about="address"
                    )
            options, encoding = (["SMTPUTF8"], "utf-8") if envelope.utf8 else ([], "ascii")
            await client.mail(envelope.sender, options=options, encoding=encoding)
            stage = "recipient"
            await client.rcpt(envelope.recipient, encoding=encoding)
            stage = "content"
            await client.data(envelope.message)
            reusable = True
        except aiosmtplib.SMTPResponseException as error:
            reusable = await self._reset(client)
            raise classify_refusal(stage, error.code, error.message) from None
        except _CONNECTION_ERRORS as error:
            kind = "did not answer in time" if isinstance(error, TimeoutError) else "closed the connection"
            raise MailFailed(f"The SMTP server {kind} ({stage}).", attempted=stage == "content") from error
        except (aiosmtplib.SMTPException, ValueError) as error:
            raise MailFailed(f"SMTP failed: {one_line(str(error), 200)}.", attempted=stage == "content") from error
        finally:
            connection.mails += 1
            await self._return_connection(connection, reusable)

    async def _reset(self, client: aiosmtplib.SMTP) -> bool:
        """Reset after a rejection; return whether the connection can carry the next email."""
        try:
            await client.rset()
        except (aiosmtplib.SMTPException, OSError):
            return False
        return True

    async def _return_connection(self, connection: _SmtpConnection, reusable: bool) -> None:
        worn = connection.mails >= self._settings.smtp_mails_per_connection
        if reusable and not worn and not self._closed and connection.client.is_connected:
            connection.idle_since = self._clock.monotonic()
            self._idle.append(connection)
        else:
            await self._close_connection(connection, polite=reusable)

    async def _close_connection(self, connection: _SmtpConnection, *, polite: bool = True) -> None:
        client = connection.client
        if polite and client.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=min(1.0, self._settings.smtp_timeout))
        client.close()


def tls_context(settings: MailerSettings) -> ssl.SSLContext | None:
    """Return the TLS context, if TLS is on. Raises :class:`SettingsError` for a CA file without a certificate."""
    if settings.smtp_tls == "none" or not settings.email_enabled:
        return None
    context = trusting(settings.smtp_ca_file, setting="NOTIFYX_SMTP_CA_FILE")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.smtp_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connect_reason(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"it refused the login, {one_line(f'{error.code} {error.message}', 200).rstrip('.')}"
    for known in (error, error.__cause__, error.__context__):
        match known:
            case ConnectionRefusedError():
                return "connection refused"
            case socket.gaierror():
                return "no such host name"
            case ssl.SSLError():
                return f"TLS failed, {one_line(str(known.reason or known), 200)}"
            case TimeoutError():
                return "no answer in time"
    return one_line(str(error), 200).rstrip(".")
