"""A real memcached for tests: the one on PATH, else Debian's package unpacked into the repository's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from notifyx_local.ports import free_port

CACHE = Path(__file__).parents[2] / ".cache" / "memcached"
PACKAGES = ("memcached", "libevent-2.1-7")


@dataclass(slots=True)
class Memcached:
    """A server that can be killed, frozen and started again on its port."""

    command: list[str]
    env: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, as the setting takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.process = subprocess.Popen(
            [*self.command, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "32"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, "memcached did not start"
                assert time.monotonic() < until, "memcached does not take connections"
                time.sleep(0.02)
            else:
                return

    def signal(self, number: signal.Signals) -> None:
        """Freeze (SIGSTOP) or thaw (SIGCONT) it."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextlib.contextmanager
def running_memcached() -> Iterator[Memcached]:
    """A running server; skips the test with the reason where none can be had."""
    command, env = _program()
    server = Memcached(command, env, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _program() -> tuple[list[str], dict[str, str]]:
    found, reason = _find()
    if found is None:
        pytest.skip(f"no memcached: {reason}")
    path, libraries = found
    env = {"PATH": os.defpath, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return [path, *user], env


@functools.cache
def _find() -> tuple[tuple[str, str] | None, str]:
    if (path := shutil.which("memcached")) is not None:
        return (path, ""), ""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers download once
        binary = CACHE / "usr/bin/memcached"
        if not binary.exists():
            if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
                return None, "not on PATH, and this machine has no apt-get to fetch Debian's package with"
            try:
                for command in (["apt-get", "download", *PACKAGES], *_unpack()):
                    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, timeout=60)
            except (OSError, subprocess.SubprocessError) as error:
                return None, f"not on PATH, and Debian's package could not be fetched ({type(error).__name__})"
    libraries = next(CACHE.glob("usr/lib/*/libevent-2.1.so*"), CACHE).parent
    return (str(binary), str(libraries)), ""


def _unpack() -> list[list[str]]:
    return [["sh", "-c", f"dpkg -x {package}_*.deb ."] for package in reversed(PACKAGES)]
