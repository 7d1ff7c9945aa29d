"""Running programs: what they print is returned, and what goes wrong is said in full."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.waiting import CommandFailed


def run(
    command: Sequence[str | Path],
    *,
    input: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    deadline: float = 120.0,
) -> str:
    """What ``command`` prints on its standard output. Raises :class:`CommandFailed`, also past the deadline."""
    words = [str(word) for word in command]
    data = input.encode() if isinstance(input, str) else input
    try:
        done = subprocess.run(
            words,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            env={**os.environ, **env} if env is not None else None,
            cwd=cwd,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{shlex.join(words)[:400]}: no answer within {deadline:g} s") from None
    except FileNotFoundError:
        raise CommandFailed(f"{words[0]} is not on this machine") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CommandFailed(f"{shlex.join(words)[:400]}: exit code {done.returncode}\n{said[-3000:]}")
    return done.stdout.decode(errors="replace")
