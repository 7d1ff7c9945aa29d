"""A small disk of its own for a platform's data, which can be filled. Only root may have one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from support.patience import PATIENCE

SIZE = 600 << 20
"""Bytes: databases and the log of PostgreSQL's writes for hundreds of histories."""

MIN_FREE = 16 << 20
"""Free bytes below which the platform's alarm begins. A disk that is filled at once goes past it unnoticed."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk in memory on ``folder`` while the block is entered; yield whether that is permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    mounted = mounted and subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=PATIENCE)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Let the disk of ``folder`` have no free byte while the block is entered."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free)
        yield
    finally:
        ballast.unlink(missing_ok=True)


async def keep_small(server: str) -> None:
    """Let the PostgreSQL at ``server``, by a superuser's URL, keep little of its log of writes."""
    connection = await asyncpg.connect(server, timeout=PATIENCE)
    try:
        await connection.execute("ALTER SYSTEM SET max_wal_size = '96MB'")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
