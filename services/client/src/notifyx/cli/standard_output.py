"""What becomes of a command that cannot write its output, whoever writes it: itself, its help, or another package.

Click and Rich each end the process with an error when a pipe is closed, and know no sentence for a full disk.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutputLost(Exception):
    """Standard output cannot be written. No :class:`OSError`, which is a fault of a connection or a file elsewhere."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.closed = error.errno == errno.EPIPE
        """Whether what reads the output has closed it, as ``head`` does: it has what it wanted."""
        self.reported = False
        """Whether the command has written an error of its own."""

    @property
    def reason(self) -> str:
        """Return a sentence."""
        return f"The output cannot be written: {self}."


class _Guarded(io.RawIOBase):
    """A file that raises :class:`OutputLost` once, and drops what is written then: buffers are flushed at exit."""

    def __init__(self, file: io.RawIOBase | None, owner: object = None) -> None:
        super().__init__()
        self._file, self._owner = file, owner  # the owner closes the file as it goes
        self.lost: OutputLost | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def fileno(self) -> int:
        return 1 if self._file is None else self._file.fileno()

    def write(self, data: Any) -> int:
        if self.lost is not None:
            return len(data)
        try:
            if self._file is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return self._file.write(data) or 0
        except OSError as error:
            self.lost = OutputLost(error)
            raise self.lost from None


@contextmanager
def guarded() -> Iterator[None]:
    """Make of output that is lost an end of the process: quiet where the pipe was closed, else with a sentence."""
    guard = _install()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputLost:
        pass
    finally:
        if guard is not None and guard.lost is not None:
            _end(guard.lost)


def _install() -> _Guarded | None:
    """Guard ``sys.stdout``; ``None`` where it is no file."""
    out = sys.stdout
    if out is None:  # it was closed before the process began
        guard = _Guarded(None)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(guard), encoding="utf-8")
        return guard
    if not isinstance(out, io.TextIOWrapper):
        return None
    buffered = isinstance(out.buffer, io.BufferedWriter)  # not where PYTHONUNBUFFERED is set
    raw = out.buffer.raw if isinstance(out.buffer, io.BufferedWriter) else out.buffer
    if not isinstance(raw, io.RawIOBase):
        return None
    guard = _Guarded(raw, out)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(guard) if buffered else guard,
        encoding=out.encoding,
        errors=out.errors,
        line_buffering=out.line_buffering,
        write_through=not buffered,
    )
    return guard


def _end(lost: OutputLost) -> None:
    # Imported late: only who cannot write needs the exit codes.
    from notifyx.cli.exits import Exit  # noqa: PLC0415

    if lost.closed:
        sys.exit(Exit.OK)
    if not lost.reported:
        sys.stderr.write(f"notifyx: {lost.reason}\n")
    sys.exit(Exit.LOCAL)
