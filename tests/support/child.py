"""Programs that end with the process that starts them, even if that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from notifyx_local.accounts import group_of
from notifyx_local.parent_death import die_with_parent


def child(
    command: Sequence[str | Path],
    *,
    orphan_signal: signal.Signals | None = signal.SIGKILL,
    account: str | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start ``command`` as ``account`` (``None``: the current user), with further ``options`` of ``Popen``.

    It gets ``orphan_signal`` when the thread that starts it ends: the main one, or one that lives longer than it.
    """
    end = None if orphan_signal is None else die_with_parent(orphan_signal, os.getpid())
    return subprocess.Popen(
        command, user=account, group=group_of(account), extra_groups=[] if account else None,
        preexec_fn=end,  # noqa: PLW1509  # it calls a function of the C library and allocates nothing
        **options,
    )  # fmt: skip
