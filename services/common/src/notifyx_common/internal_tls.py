"""TLS for the calls between services: this node's certificate and the authorities that it trusts, from files.

Whoever issues the certificates replaces the files, and they are read again while the process runs. All of them change
together: new files that cannot be used leave what was loaded before.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings, SettingsError

log = get_logger(__name__)

CHECK_INTERVAL = 10.0
"""Seconds between two checks of the files."""


class CallOptions(TypedDict):
    """Arguments for aiohttp: whom to trust, and the name that the certificate must have (default: the URL's host)."""

    ssl: ssl.SSLContext | bool
    server_hostname: str | None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The files of a certificate (with its intermediate ones) and its key, in PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Validity:
    """When certificates expire, in Unix time, and for how many seconds they are valid in all."""

    expiry: float
    lifetime: float


class InternalTls:
    """Contexts for calls and, with a ``pair``, for a listener. Raises :class:`OSError` for files it cannot use."""

    def __init__(self, ca: Path, pair: KeyPair | None = None) -> None:
        self._ca = ca
        self._pair = pair
        self._trouble = ""
        self._seen = self._versions()
        self._calls = self._load_calls()
        self.validity = self._load_validity()
        """That of the loaded certificates: ``service`` (with a pair) and ``authority``."""
        self._newest: ssl.SSLContext | None = None
        self.listener: ssl.SSLContext | None = None
        """For the server's socket; each handshake takes the newest certificate. ``None`` without one."""
        if pair is not None:
            self.listener = self._newest = _load_listener(pair)
            self.listener.sni_callback = self._take_newest

    @classmethod
    def of(cls, settings: ServiceSettings) -> InternalTls | None:
        """Return what the settings name; ``None`` if calls are plain HTTP. Raises :class:`SettingsError`."""
        ca, cert, key = settings.internal_tls_ca_file, settings.internal_tls_cert_file, settings.internal_tls_key_file
        if (cert is None) != (key is None):
            raise _wrong("CERT_FILE and NOTIFYX_INTERNAL_TLS_KEY_FILE", "set both or none")
        if ca is None:
            if cert is not None:
                raise _wrong("CA_FILE", "this is needed with a certificate")
            return None
        if any(not url.startswith("https://") for url in settings.registry_urls):
            raise _wrong("CA_FILE", "with it, every URL in NOTIFYX_REGISTRY_URLS has to begin with https://")
        try:
            return cls(ca, KeyPair(cert, key) if cert is not None and key is not None else None)
        except OSError as error:
            raise _wrong("CA_FILE, _CERT_FILE or _KEY_FILE", f"the files cannot be used ({error})") from None

    def call_options(self, server_name: str) -> CallOptions:
        """Return the arguments of a call to a node whose certificate has ``server_name`` (or, if empty, its host)."""
        return {"ssl": self._calls, "server_hostname": server_name or None}

    def observe(self, metrics: Metrics) -> None:
        """Report the validity of the loaded certificates, whichever they are at a scrape."""
        expiry = metrics.gauge("notifyx_certificate_expiry_timestamp_seconds")
        lifetime = metrics.gauge("notifyx_certificate_lifetime_seconds")

        def follow(kind: str) -> None:
            expiry.labels(kind).set_function(lambda: self.validity[kind].expiry)
            lifetime.labels(kind).set_function(lambda: self.validity[kind].lifetime)

        for kind in self.validity:
            follow(kind)

    async def refresh(self) -> None:
        """Load the files again if they have changed."""
        try:
            versions = self._versions()
            if versions == self._seen:
                return
            calls, validity = self._load_calls(), self._load_validity()
            self._newest = _load_listener(self._pair) if self._pair is not None else None
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("internal_tls_not_renewed", error=self._trouble)
            return
        self._calls, self.validity, self._seen, self._trouble = calls, validity, versions, ""
        log.info("internal_tls_renewed")

    def _versions(self) -> list[tuple[int, int, int]]:
        files = [self._ca, *((self._pair.cert, self._pair.key) if self._pair is not None else ())]
        found = [file.stat() for file in files]
        return [(one.st_mtime_ns, one.st_ino, one.st_size) for one in found]

    def _load_calls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Python 3.13 requires certificate fields that not every issuer writes.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def _load_validity(self) -> dict[str, Validity]:
        # A chain fails with the first of its certificates, trust in authorities ends with the last of them.
        found = {"authority": max(_validities(self._ca), key=lambda one: one.expiry)}
        if self._pair is not None:
            found["service"] = min(_validities(self._pair.cert), key=lambda one: one.expiry)
        return found

    def _take_newest(self, handshake: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        # A live context cannot be changed safely: a key that does not fit would leave it without one.
        if self._newest is not None:
            handshake.context = self._newest


def call_options(tls: InternalTls | None, server_name: str) -> CallOptions:
    """Return the arguments of a call; without ``tls``, those that aiohttp has by itself."""
    return {"ssl": True, "server_hostname": None} if tls is None else tls.call_options(server_name)


def _validities(file: Path) -> list[Validity]:
    from cryptography import x509  # noqa: PLC0415 - 10 MiB of memory, which only nodes with TLS need

    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise OSError(f"{file}: {error}") from None
    spans = [(one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp()) for one in certificates]
    return [Validity(end, end - start) for start, end in spans]


def _load_listener(pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Without a password, an encrypted key would be asked for at the terminal.
    context.load_cert_chain(pair.cert, pair.key, password="")
    return context


def _wrong(setting: str, mistake: str) -> SettingsError:
    return SettingsError(f"Wrong settings: NOTIFYX_INTERNAL_TLS_{setting}: {mistake}.")
