"""Runs programs as another account of this machine."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path


def run_as(account: str | None, command: Sequence[str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end as ``account`` (``None``: the current user)."""
    return subprocess.run(  # noqa: S603 - our own command line
        command, user=account, group=group_of(account), extra_groups=[] if account else None,
        cwd=cwd or "/", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def group_of(account: str | None) -> int | None:
    """Return the main group of ``account``."""
    return pwd.getpwnam(account).pw_gid if account else None


def can_reach(account: str, path: Path) -> bool:
    """Return whether ``account`` may run the program, or enter the folder, at ``path``."""
    return run_as(account, ["/usr/bin/test", "-x", str(path)]).returncode == 0
