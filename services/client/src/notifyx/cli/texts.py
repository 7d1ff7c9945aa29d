"""Reads the text of a notification: an argument, a file, or standard input."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from pathlib import Path
from typing import TextIO

from notifyx.cli.exits import UsageProblem

MAX_TEXT_BYTES = 1 << 20
"""Maximum text of one notification from a file or standard input, in bytes; the server's own limit is lower."""

SILENCE_SECONDS = 60.0
"""How long a pipe may be silent before it begins, where a text is not needed; in seconds."""

STDIN = Path("-")
"""The file that is standard input."""


def read_text(text: str | None, file: Path | None, *, needed: bool, silence: float = SILENCE_SECONDS) -> str:
    """Return the body of a notification; ``needed``: it has no other content.

    Without ``text`` and ``file`` it is what standard input holds, unless that is a terminal. Raises
    :class:`UsageProblem`, also where no text is needed and a pipe neither begins nor ends within ``silence`` seconds:
    only the caller knows whether that is a slow command, or nobody.
    """
    if text is not None and file is not None:
        raise UsageProblem("Give the text or --file, not both.")
    if text == "-" or file == STDIN:
        return _decoded(_read(sys.stdin), "standard input")
    if file is not None:
        try:
            with file.open("rb") as opened:
                return _decoded(opened.read(MAX_TEXT_BYTES + 1), str(file))
        except OSError as error:
            raise UsageProblem(f"{file} cannot be read: {error.strerror or error}.") from None
    if text is not None:
        return text
    if not is_piped(sys.stdin):
        if needed:
            raise UsageProblem("Give a text, a title, data, or --file.")
        return ""
    if not needed and not _begins(sys.stdin, silence):
        raise UsageProblem(
            f"Standard input is open, but nothing came in {silence:g} seconds. Give - as the text to wait for it, "
            "or '' (or < /dev/null) for no text."
        )
    return _decoded(_read(sys.stdin), "standard input")


def is_piped(stdin: TextIO | None) -> bool:
    """Return whether standard input is there, and no terminal. Python has none where it was closed."""
    return stdin is not None and not stdin.isatty()


def _begins(stdin: TextIO, seconds: float) -> bool:
    """Return whether standard input has data or ends within ``seconds``: files do, and pipes may not."""
    try:
        number = stdin.fileno()
        kind = os.fstat(number).st_mode
    except OSError:  # it is no file of the system, and so it is in memory
        return True
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):
        return True
    return bool(select.select([number], [], [], seconds)[0])


def _read(stdin: TextIO | None) -> bytes:
    if stdin is None:
        return b""
    try:
        return stdin.buffer.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        if error.errno == errno.EBADF:  # opened for writing alone, as nohup does
            return b""
        raise UsageProblem(f"Standard input cannot be read: {error.strerror or error}.") from None


def _decoded(raw: bytes, place: str) -> str:
    if len(raw) > MAX_TEXT_BYTES:
        raise UsageProblem(f"What {place} holds is too long for one notification; did you mean --lines?")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"What {place} holds is not in UTF-8.") from None
