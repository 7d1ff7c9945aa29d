"""The commands ``notifyx backup`` and ``notifyx restore`` (entry-point group ``notifyx.commands``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA = Path(".notifyx")


def backup(
    to: Annotated[str, typer.Option(help="Folder for the archive, or s3://bucket/prefix (NOTIFYX_BACKUP_S3_ENDPOINT, "
                                "_REGION, _ACCESS_KEY, _SECRET_KEY).")],
    data: Annotated[
        Path | None, typer.Option(help="Data folder of notifyx up, running or not. Default: .notifyx, unless the "
                                  "environment names databases (NOTIFYX_BACKUP_AUTH_URL and _STORE_URL).")
    ] = None,
    keep: Annotated[int, typer.Option(min=0, help="Number of archives to keep there; 0 keeps all.")] = 0,
    secrets: Annotated[
        bool, typer.Option(help="With --data: put its secrets.json into the archive. Without it, a restored platform "
                           "cannot read its signing keys and webhooks' secrets.")
    ] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which the backup is given up.")] = 6 * 3600,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
) -> None:  # fmt: skip
    """Write a backup of the platform's databases, while it runs, as one archive."""
    # Imported late: every command of the command line loads this module.
    from notifyx_backup.main import BackupOptions, run_backup  # noqa: PLC0415

    run_backup(BackupOptions(to=to, data=data, keep=keep, secrets=secrets, timeout=timeout, quiet=quiet))


def restore(
    source: Annotated[str, typer.Option("--from", help="Archive, or a folder of archives, whose newest "
                                    "is taken; s3://bucket/prefix as well.")],
    data: Annotated[
        Path | None, typer.Option(help="Data folder of notifyx up, which must not run. Default: .notifyx, unless the "
                                  "environment names databases (NOTIFYX_BACKUP_AUTH_URL and _STORE_URL).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove what the databases hold now.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which the restore is given up.")] = 24 * 3600,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
) -> None:  # fmt: skip
    """Restore the platform's databases from a backup; no service may run."""
    from notifyx_backup.main import RestoreOptions, run_restore  # noqa: PLC0415 - as above

    run_restore(RestoreOptions(source=source, data=data, replace=replace, timeout=timeout, quiet=quiet))
