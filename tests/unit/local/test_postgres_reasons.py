"""The reason why PostgreSQL ended, in words for people."""

from __future__ import annotations

import pytest

from notifyx_local.postgres import failure_reason

START = "2026-11-22 23:14:43.504 UTC [1] LOG:  starting PostgreSQL 18.6 on x86_64\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ('FATAL:  could not write to file "pg_wal/xlogtemp.9": No space left on device', "the disk that holds"),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\nFATAL:  could not create any TCP/IP '
         "sockets", "took its port"),
        ('FATAL:  lock file "postmaster.pid" already exists\nHINT:  Is another running?', "another PostgreSQL"),
        ('FATAL:  data directory "/x" has wrong ownership', "another account"),
        ("2026-11-22 UTC [7] FATAL:  something new", "something new"),
        ("no level at all\n\n", "no level at all"),
        ("", "it said nothing"),
        (f"{START}FATAL:  x: No space left on device\n{START}2026 FATAL:  the newest reason", "the newest reason"),
    ],
)  # fmt: skip
def test_the_last_reason_is_told(log: str, reason: str) -> None:
    assert reason in failure_reason(log)
