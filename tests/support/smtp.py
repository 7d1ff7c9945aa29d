"""A real SMTP server (aiosmtpd in its own thread) that stores what arrives and fails as configured."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email
import email.policy
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifyx_local.ports import free_port
from support.patience import PATIENCE


@dataclass(frozen=True)
class Received:
    """One email that arrived."""

    sender: str
    recipient: str
    raw: bytes
    at: float = field(default_factory=time.time)
    """When it was taken, in epoch seconds."""

    @property
    def message(self) -> EmailMessage:
        """Return the parsed message."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)


@dataclass
class Mailbox:
    """A running server: where it listens, what arrived, and how it behaves. Safe to use from the test's thread.

    ``rcpt`` maps an address to the answer it gets; ``content`` is the answer to every message instead of 250;
    ``drop`` closes the connection in place of an answer to so many messages; ``delay`` is waited before each
    answer to a message; while ``hang`` is set messages get no answer at all, nor do those to an address in ``held``.
    ``holding`` is how many of the latter wait.
    """

    host: str
    port: int
    received: list[Received] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    content: str = ""
    drop: int = 0
    delay: float = 0.0
    hang: bool = False
    held: set[str] = field(default_factory=set)
    holding: int = 0
    sessions: int = 0
    peers: set[Any] = field(default_factory=set)
    tls_sessions: int = 0
    logins: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, timeout: float = PATIENCE) -> list[Received]:
        """Wait until ``count`` emails have arrived; return them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, timeout), len(self.received)
        return list(self.received)

    async def wait_until(self, holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until ``holds()``, without blocking the test's event loop."""
        until = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < until, f"not in time; {len(self.received)} emails arrived"
            await asyncio.sleep(0.01)

    def message_ids(self) -> list[str]:
        """Return the Message-ID of each email, in order of arrival."""
        return [str(one.message["Message-ID"]) for one in self.received]


class _Handler:
    def __init__(self, box: Mailbox) -> None:
        self._box = box

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        if session.peer not in self._box.peers:
            self._box.peers.add(session.peer)
            self._box.sessions += 1
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None or session.ssl is not None
        self._box.tls_sessions += encrypted
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (answer := self._box.rcpt.get(address)) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        box = self._box
        if box.delay:
            await asyncio.sleep(box.delay)
        while box.hang:
            await asyncio.sleep(0.02)
        if box.held.intersection(envelope.rcpt_tos):
            box.holding += 1
            while box.held.intersection(envelope.rcpt_tos):
                await asyncio.sleep(0.02)
            box.holding -= 1
        if box.drop > 0:
            box.drop -= 1
            assert server.transport is not None
            server.transport.close()
            return "421 closing"
        if box.content:
            return box.content
        assert isinstance(envelope.content, bytes)
        with box.changed:
            for recipient in envelope.rcpt_tos:
                box.received.append(Received(str(envelope.mail_from), recipient, envelope.content))
            box.changed.notify_all()
        return "250 taken"


@contextlib.contextmanager
def running_smtp(
    *,
    certificate: Certificate | None = None,
    implicit_tls: bool = False,
    login: tuple[str, str] | None = None,
    port: int | None = None,
) -> Iterator[Mailbox]:
    """A server that is up in the block; with a ``certificate`` it offers STARTTLS, or speaks TLS at once.

    (aiosmtpd does not count TLS from the start as TLS for a login, and warns when told not to ask for it.)
    """
    box = Mailbox("127.0.0.1", port or free_port())

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and login == (data.login.decode(), data.password.decode())
        if good:
            box.logins.append(data.login.decode())
        return AuthResult(success=good, handled=False, message=None if good else "535 5.7.8 wrong name or password")

    options: dict[str, Any] = {"enable_SMTPUTF8": True}
    if login is not None:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit_tls}
    if certificate is not None and implicit_tls:
        options |= {"ssl_context": certificate.server_context()}
    elif certificate is not None:
        options |= {"tls_context": certificate.server_context(), "require_starttls": True}
    controller = Controller(_Handler(box), hostname=box.host, port=box.port, **options)
    controller.start()
    box.sessions = 0
    try:
        yield box
    finally:
        box.hang = False
        box.held = set()
        controller.stop()


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for 127.0.0.1; it is its own authority."""

    path: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the server's TLS context."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.path, self.key)
        return context


def make_certificate(folder: Path, address: str = "127.0.0.1") -> Certificate:
    """Write a fresh certificate and its key to ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "notifyx test")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
