"""Tokens in a file that is shared by all processes of one user: mode 600, written atomically, locked.

The lock is a separate file, because the token file itself is replaced. Sessions are by the deployment's base URL::

    {"version": 1, "sessions": {"https://notifyx.example.com": {"access_token": ..., "refresh_token": ..., ...}},
     "devices": {"https://notifyx.example.com": ...}}

A device's token outlives its sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from notifyx.errors import TokenFileError
from notifyx.tokens import Tokens

VERSION = 1
PARTS = ("sessions", "devices")
LOCK_SECONDS = 45.0
"""Timeout of the lock, in seconds. Another process may hold it while it waits for the server."""


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return ``notifyx/tokens.json`` in the XDG config folder."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    # The XDG specification requires that a relative path is ignored.
    base = Path(configured) if configured.startswith("/") else Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "notifyx" / "tokens.json"


class FileStore:
    """The entry of ``url`` in the file ``path``."""

    def __init__(self, path: Path, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._url = url
        self._monotonic = monotonic

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Lock the file against other tasks and processes. Raises :class:`TokenFileError` after a timeout."""
        until = self._monotonic() + LOCK_SECONDS
        with contextlib.ExitStack() as stack:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise self._wrong("be locked", error) from None
            stack.callback(os.close, descriptor)
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._monotonic() > until:
                        reason = f"Another process has held {self._lock_path} for {LOCK_SECONDS:g} s."
                        raise TokenFileError(reason) from None
                except OSError as error:
                    raise self._wrong("be locked", error) from None
                await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret
            yield

    def load(self) -> Tokens | None:
        """Return the entry, if there is one. Raises :class:`TokenFileError`, also for a file that others may read."""
        entry = self._read("sessions").get(self._url)
        if entry is None:
            return None
        try:
            return Tokens(
                access_token=str(entry["access_token"]),
                refresh_token=entry.get("refresh_token"),
                obtained_at=float(entry.get("obtained_at") or 0.0),
                expires_at=None if entry.get("expires_at") is None else float(entry["expires_at"]),
                email=str(entry.get("email") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TokenFileError(f"{self._path} is damaged; remove it and log in again.") from None

    def save(self, tokens: Tokens | None) -> None:
        """Replace or remove the entry; other entries stay. Raises :class:`TokenFileError`."""
        sessions = dict(self._read("sessions"))
        if tokens is None:
            if sessions.pop(self._url, None) is None:
                return
        else:
            sessions[self._url] = {
                "access_token": tokens.access_token,
                "refresh_token": tokens.refresh_token,
                "obtained_at": tokens.obtained_at,
                "expires_at": tokens.expires_at,
                "email": tokens.email,
            }
        self._write(sessions=sessions)

    def device_token(self) -> str:
        """Return the token of this device at the deployment, or ``""``. Raises :class:`TokenFileError`."""
        return str(self._read("devices").get(self._url, ""))

    def save_device_token(self, token: str) -> None:
        """Store the token of this device. Needs the lock. Raises :class:`TokenFileError`."""
        self._write(devices={**self._read("devices"), self._url: token})

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.lock")

    def _write(self, **changed: dict[str, Any]) -> None:
        parts = {name: self._read(name) for name in PARTS} | changed
        try:
            write_atomically(self._path, json.dumps({"version": VERSION, **parts}, indent=1))
        except OSError as error:
            raise self._wrong("be written", error) from None

    def _read(self, part: str) -> dict[str, Any]:
        try:
            with open(self._path, encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & 0o077:
                    raise TokenFileError(
                        f"{self._path} may be read by others; make it yours alone with chmod 600, and log in again if "
                        "somebody may have read it."
                    )
                data = json.load(file)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._wrong("be read", error) from None
        except ValueError:
            raise TokenFileError(f"{self._path} is damaged; remove it and log in again.") from None
        found = data.get(part, {}) if isinstance(data, dict) and data.get("version") == VERSION else None
        if not isinstance(found, dict):
            raise TokenFileError(f"{self._path} is of another version of notifyx; remove it and log in again.")
        return found

    def _wrong(self, what: str, error: OSError) -> TokenFileError:
        return TokenFileError(f"{self._path} cannot {what}: {error.strerror or error}.")


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` atomically with ``text``, mode 600. Raises :class:`OSError`; then nothing has changed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp uses mode 600. A rename is atomic: after a crash the file is either the old or the new one.
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
