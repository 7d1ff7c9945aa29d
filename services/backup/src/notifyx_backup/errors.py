"""Why a backup or a restore was not made, each in one sentence."""

from __future__ import annotations

from notifyx_common.errors import NotifyxError


class BackupError(NotifyxError):
    """A backup or a restore was not made; nothing was changed unless the reason says so."""

    code = "backup"


class DamagedArchive(BackupError):
    """The archive is incomplete or was changed."""

    code = "damaged_archive"


class NewerArchive(BackupError):
    """The archive, or the database, is of a newer version than this program."""

    code = "newer_archive"


class NotEmpty(BackupError):
    """A database already holds something."""

    code = "not_empty"


class InUse(BackupError):
    """Services use a database that is to be restored."""

    code = "in_use"


class PlaceError(BackupError):
    """The place of archives cannot be used."""

    code = "place"
