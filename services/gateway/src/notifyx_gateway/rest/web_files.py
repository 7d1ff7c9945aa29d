"""The built web client, held in memory: its page and its hashed files with their compressed forms.

A build may appear, or be replaced, while the gateway runs; a change of the page's modification time shows it. Files of
the previous build stay, because windows opened with it load parts of it later.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from notifyx_common.logs import get_logger
from notifyx_gateway.rest.codings import File

log = get_logger(__name__)

PAGE = "index.html"
REASON_FILE = "not-built.txt"
"""A file in place of the page; its text is the reason why there is no build."""

ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
"""Content codings of a build's files, with the suffixes of their files."""

MAX_REASON = 1000
NO_FOLDER = "The web client is not part of this gateway: NOTIFYX_WEB_FOLDER names no build of it."
NOT_BUILT = "The web client is not built."


@dataclass(frozen=True, slots=True)
class WebBuild:
    """A build: ``files`` by their path below the folder, with those of the previous build."""

    page: str
    changed: int
    files: Mapping[str, File]


class WebFiles:
    """The build in ``folder``, which may not exist yet; ``None`` for a gateway without a web client."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._build: WebBuild | None = None
        self._reading = asyncio.Lock()

    async def build(self) -> WebBuild | None:
        """Return the current build, if any."""
        if self._folder is None:
            return None
        folder = self._folder
        async with self._reading:
            return await asyncio.to_thread(self._reload, folder)

    async def missing_reason(self) -> str:
        """Return why there is no build, as a sentence."""
        if self._folder is None:
            return NO_FOLDER
        return await asyncio.to_thread(_read_reason, self._folder / REASON_FILE)

    def _reload(self, folder: Path) -> WebBuild | None:
        try:
            changed = (folder / PAGE).stat().st_mtime_ns
        except OSError:
            return self._build
        if self._build is None or self._build.changed != changed:
            try:
                files = read_files(folder)
                page = (folder / PAGE).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                log.warning("web_client_unreadable", folder=str(folder), reason=str(error))
                return self._build
            before = self._build.files if self._build is not None else {}
            self._build = WebBuild(page, changed, {**before, **files})
        return self._build


def read_files(folder: Path) -> dict[str, File]:
    """Read every file below ``folder`` except the page, by its path. Raises :class:`OSError`."""
    files: dict[str, File] = {}
    suffixes = tuple(suffix for _, suffix in ENCODINGS)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in (PAGE, REASON_FILE) or path.name.endswith(suffixes):
            continue
        forms = {"identity": path.read_bytes()}
        for coding, suffix in ENCODINGS:
            compressed = path.with_name(path.name + suffix)
            if compressed.is_file():
                forms[coding] = compressed.read_bytes()
        files[name] = File(_content_type(path.name), forms)
    return files


def _content_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _read_reason(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:MAX_REASON].strip() or NOT_BUILT
    except (OSError, ValueError):
        return NOT_BUILT
