"""An S3-compatible store: rclone's, which serves folders and verifies signatures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from notifyx_local.ports import free_port
from support.child import child
from support.listening import wait_until_listening
from support.patience import PATIENCE

ACCESS_KEY, SECRET_KEY = "an-access-key", "the-secret-of-that-key"


@dataclass(frozen=True)
class ObjectStore:
    """A running store. Each folder in ``folder`` is a bucket."""

    endpoint: str
    folder: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """What ``notifyx backup`` reads of it, with ``changes``."""
        return {
            "NOTIFYX_BACKUP_S3_ENDPOINT": self.endpoint,
            "NOTIFYX_BACKUP_S3_ACCESS_KEY": ACCESS_KEY,
            "NOTIFYX_BACKUP_S3_SECRET_KEY": SECRET_KEY,
            "NOTIFYX_BACKUP_S3_RETRIES": "1",
            **changes,
        }


@contextlib.contextmanager
def running_object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run the store on ``folder``."""
    port = free_port()
    program = Path(sys.executable).with_name("rclone")
    (folder / "buckets").mkdir()
    with (folder / "rclone.log").open("wb") as log:
        process = child(
            [
                str(program), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}",
                "--config", "/dev/null", "--cache-dir", str(folder / "cache"), str(folder / "buckets"),
            ],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_until_listening(process, port, (folder / "rclone.log").read_text)
        yield ObjectStore(f"http://127.0.0.1:{port}", folder / "buckets")
    finally:
        process.terminate()
        process.wait(PATIENCE)
