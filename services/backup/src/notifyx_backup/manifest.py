"""What an archive says about itself. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from notifyx_backup.errors import DamagedArchive, NewerArchive

FORMAT = 1
"""Version of the archive's form. A program reads archives of its own and of earlier forms."""

Part = Literal["auth", "store"]
"""A database of the platform."""

PARTS: tuple[Part, ...] = ("auth", "store")


class Table(BaseModel):
    """The rows of one table: its columns in their order, and the size and SHA-256 of the rows as text."""

    model_config = ConfigDict(frozen=True)

    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class Contents(BaseModel):
    """One database: the migrations that made its tables, and the tables in an order that references allow.

    ``sequences`` has the last value of each by ``table.column``.
    """

    model_config = ConfigDict(frozen=True)

    migrations: list[str]
    server: str
    tables: list[Table]
    sequences: dict[str, int]


class Manifest(BaseModel):
    """The last member of an archive. ``taken_at`` is the point in time that it shows.

    ``secrets``: whether the secrets of ``notifyx up`` are in it, with their SHA-256.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    version: str
    taken_at: datetime
    databases: dict[Part, Contents]
    secrets: str | None = None

    @property
    def rows(self) -> int:
        """Number of rows of all tables."""
        return sum(table.rows for contents in self.databases.values() for table in contents.tables)


def read_manifest(document: Any) -> Manifest:
    """Return the manifest in a decoded JSON ``document``. Raises :class:`NewerArchive`, :class:`DamagedArchive`."""
    version = document.get("format") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise NewerArchive(
            f"The archive is of form {version} (Notifyx {document.get('version', '?')}), and this version reads forms "
            f"up to {FORMAT}. Restore it with that version or a newer one."
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError:
        raise DamagedArchive("The archive's list of contents cannot be read; use another archive.") from None
    if set(manifest.databases) != set(PARTS):
        raise DamagedArchive("The archive does not hold both databases; use another archive.")
    return manifest


def check_migrations(contents: Contents, known: list[str], part: Part, version: str) -> None:
    """Raise :class:`NewerArchive` if the tables of ``contents`` are newer than this program."""
    unknown = [name for name in contents.migrations if name not in known]
    if unknown or not contents.migrations:
        newest = unknown[-1] if unknown else "no migration"
        raise NewerArchive(
            f"The {part} database of the archive, of Notifyx {version}, has tables that this version does not know "
            f"({newest}). Restore it with that version or a newer one."
        )
