"""A bucket of an S3-compatible store as the place of archives.

An upload in parts has its name only when it is complete. Credentials come from the environment, never from a URL.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from notifyx_backup.errors import PlaceError
from notifyx_backup.place import NAME
from notifyx_backup.settings import BackupSettings

if TYPE_CHECKING:
    from obstore.store import S3Config  # there is none when it runs

PART_BYTES = 16 << 20
"""Size of a part: an upload has at most 10,000 of them."""

CONCURRENT_PARTS = 4
RETRY_TIMEOUT = timedelta(minutes=2)
REQUEST_TIMEOUT = "120s"
CONNECT_TIMEOUT = "10s"
_DOWNLOAD_BYTES = 1 << 20
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


class Bucket:
    """The archives below the prefix of ``s3://bucket/prefix``. Its methods raise :class:`PlaceError`."""

    def __init__(self, url: str, settings: BackupSettings) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.hostname or parts.username or parts.password or parts.query:
            raise PlaceError("Name the bucket as s3://bucket/prefix; credentials are read from the environment.")
        self.url = f"s3://{parts.hostname}/{parts.path.strip('/')}".rstrip("/")
        self._bucket = parts.hostname
        self._endpoint = settings.s3_endpoint
        self._store = _open(parts.hostname, parts.path.strip("/"), settings)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Make a temporary folder, which is there within the block."""
        with tempfile.TemporaryDirectory(prefix="notifyx-backup-") as folder:
            yield Path(folder)

    def put(self, file: Path, name: str) -> str:
        """Upload ``file``; return its URL."""
        with self._errors():
            obstore.put(self._store, name, file, chunk_size=PART_BYTES, max_concurrency=CONCURRENT_PARTS)
            kept = obstore.head(self._store, name)["size"]
        if kept != file.stat().st_size:
            raise PlaceError(f"{self.url} holds {kept} bytes of {name}, which has {file.stat().st_size}.")
        return f"{self.url}/{name}"

    def names(self) -> list[str]:
        """Return the names of the archives, the oldest first."""
        with self._errors():
            found = [str(meta["path"]) for page in obstore.list(self._store) for meta in page]
        return sorted(name for name in found if NAME.fullmatch(name))

    def remove(self, name: str) -> None:
        """Remove one archive."""
        with self._errors():
            obstore.delete(self._store, name)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Download an archive to a file, which is there within the block."""
        with self.staging() as folder:
            with self._errors(), (folder / name).open("wb") as file:
                for chunk in obstore.get(self._store, name).stream(_DOWNLOAD_BYTES):
                    file.write(chunk)
            yield folder / name

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise PlaceError(f"{self.url} cannot be used: {self._reason(error)}.") from None

    def _reason(self, error: Exception) -> str:
        # What the library says has URLs and a dump of its objects.
        text = str(error)
        code = found[1] if (found := re.search(r"<Code>(\w+)</Code>", text)) else ""
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or code in _DENIED:
            return "the store does not accept these credentials for it (NOTIFYX_BACKUP_S3_ACCESS_KEY, …_SECRET_KEY)"
        if code == "NoSuchBucket":
            return f"there is no bucket {self._bucket}"
        if isinstance(error, FileNotFoundError) or code == "NoSuchKey":
            return "there is no such archive"
        if "No space left" in text:
            return "there is no space for the archive on this machine"
        return f"the store answered {code}" if code else f"{self._endpoint or 'the store'} does not answer"


def _open(bucket: str, prefix: str, settings: BackupSettings) -> S3Store:
    config: S3Config = {"region": settings.s3_region}
    if settings.s3_access_key is not None and settings.s3_secret_key is not None:
        config["access_key_id"] = settings.s3_access_key.get_secret_value()
        config["secret_access_key"] = settings.s3_secret_key.get_secret_value()
    if settings.s3_endpoint:
        config["endpoint"] = settings.s3_endpoint
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": settings.s3_endpoint.startswith("http://"),
            "timeout": REQUEST_TIMEOUT,
            "connect_timeout": CONNECT_TIMEOUT,
        },
        retry_config={"max_retries": settings.s3_retries, "retry_timeout": RETRY_TIMEOUT},
    )
