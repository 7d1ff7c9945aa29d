"""Runs a service in a Tilt session, and runs it anew after each change of its source.

The pods of a Tilt session are those of an installation: no root, a root file system that nobody can write. So the
source cannot be changed where it is installed. This keeps a second copy of our packages below /tmp, which Python finds
first and Tilt writes to; Tilt then sends SIGHUP to process 1, which is this. It is handed to Python as text, so that
the images need not hold it::

    python3 -c "$(cat reload.py)" /tmp/live notifyx-store

A service that ends by itself takes the container with it, as anywhere, unless it was changed before: then what it said
stays on the screen, and the next change starts it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import sysconfig
import time
from pathlib import Path

WATCHED = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
PATIENCE = 5.0
"""Seconds a service has to stop before it is killed: whoever edits waits for it."""


def say(sentence: str) -> None:
    """To the log of the container, which Tilt shows."""
    sys.stderr.write(f"tilt: {sentence}\n")
    sys.stderr.flush()


def copy_packages(installed: Path, live: Path) -> None:
    """Our packages, as the image has them. What an earlier container left is no longer known to Tilt: it goes."""
    shutil.rmtree(live, ignore_errors=True)
    live.mkdir(parents=True)
    for package in sorted(installed.glob("notifyx*")):
        if package.is_dir() and not package.name.endswith(".dist-info"):
            shutil.copytree(package, live / package.name, ignore=shutil.ignore_patterns("__pycache__"))


def start(command: list[str], live: Path) -> int:
    """A new process of the service, with no signal blocked."""
    return os.posix_spawnp(command[0], command, {**os.environ, "PYTHONPATH": str(live)}, setsigmask=())


def left(child: int) -> int | None:
    """The exit code of a process that has ended."""
    done, status = os.waitpid(child, os.WNOHANG)
    if done == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def stop(child: int) -> None:
    """End the process; in a while even one that does not want to."""
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while (remaining := deadline - time.monotonic()) > 0:
        if left(child) is not None:
            return
        signal.sigtimedwait({signal.SIGCHLD}, remaining)
    if left(child) is None:
        say(f"it did not stop within {PATIENCE:g} seconds; killed")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main(live: Path, command: list[str]) -> int:
    """Until the service ends by itself, or is told to."""
    # Blocked first, waited for later: no signal can come too early, and process 1 has no default for any.
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    copy_packages(Path(sysconfig.get_path("purelib")), live)
    child: int | None = start(command, live)
    changed = False
    while True:
        got = signal.sigwait(WATCHED)
        if got == signal.SIGHUP:
            if child is not None:
                stop(child)
            say("the source changed; started anew")
            child, changed = start(command, live), True
        elif got == signal.SIGCHLD:
            code = left(child) if child is not None else None
            if code is not None and not changed:
                return code
            if code is not None:
                say(f"it ended with {code}; the next change starts it again")
                child = None
        elif child is None:
            return 0
        else:
            # The kubelet counts its own seconds; the service drains in them.
            os.kill(child, got)
            changed = False


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
